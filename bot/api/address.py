"""Where a request comes from, behind the proxies that are configured. A stranger's X-Forwarded-For says nothing. Pure but for
reading the request."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import cast

from fastapi import Request

from control_plane.errors import Invalid

Networks = tuple[IPv4Network | IPv6Network, ...]
_MOST_HOPS = 32


def address_of(request: Request) -> str:
    """The client's address, "" when it has none (a Unix socket)."""
    peer = request.client.host if request.client else ""
    trusted = cast(Networks, request.app.state.trusted_proxies)
    return client_address(peer, request.headers.getlist("X-Forwarded-For"), trusted) if trusted else peer


def networks(text: str) -> Networks:
    """From a comma list of addresses and networks. Raises Invalid, naming the part that is neither."""
    found: list[IPv4Network | IPv6Network] = []
    for part in (part.strip() for part in text.split(",")):
        if part:
            try:
                found.append(ip_network(part, strict=False))
            except ValueError:
                raise Invalid(
                    f"{part!r} in OPSTHREAD_TRUSTED_PROXIES is no address or network; write such as 10.0.0.0/8,192.168.1.7"
                ) from None
    return tuple(found)


def client_address(peer: str, forwarded: Sequence[str], trusted: Networks) -> str:
    """The nearest hop that is not one of ours: each proxy adds who it heard, at the end, and only ours are believed."""
    nearest = peer
    if not _is_ours(peer, trusted):
        return peer
    hops = [hop for line in forwarded for hop in line.split(",")]
    for hop in reversed(hops[-_MOST_HOPS:]):
        address = _parsed(hop)
        if address is None:
            return nearest
        nearest = str(address)
        if not _is_ours(nearest, trusted):
            return nearest
    return nearest


def _is_ours(address: str, trusted: Networks) -> bool:
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in trusted)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """`10.1.2.3`, `10.1.2.3:4711`, `[2001:db8::1]:4711`, `2001:db8::1`; IPv4 in IPv6 is IPv4."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
