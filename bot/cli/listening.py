"""The listening socket, made before anything heavy, so that a taken port is said at once."""

import socket


class PortInUse(Exception):
    """Something else listens there."""


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # without it asyncio leaves Nagle on
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortInUse(
            f"Cannot listen on {host}:{port}: {error.strerror}. Choose another: --port N (0 for a free one)."
        ) from None
    return listener
