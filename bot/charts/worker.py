"""`python -m bot.charts.worker`: draws what it is sent, one order at a time, until its input ends.

Frames on both sides: a length of four bytes, big-endian, and that many bytes. An answer begins with `+` and the picture, or `-`
and why there is none.
"""

import resource
import struct
import sys
from typing import BinaryIO

_LENGTH = struct.Struct(">I")
_MOST_MEMORY = 2 * 1024**3
_MOST_ORDER = 8 * 1024 * 1024


def main() -> int:
    """Its memory is bounded, so that a defect ends this process and no other."""
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    from bot.charts.draw import configure, draw
    from bot.charts.look import Order

    configure()
    while (frame := _read(sys.stdin.buffer)) is not None:
        try:
            answer = b"+" + draw(Order.model_validate_json(frame))
        except (ArithmeticError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError) as error:
            answer = b"-" + f"{type(error).__name__}: {error}"[:500].encode("utf-8", "replace")
        sys.stdout.buffer.write(_LENGTH.pack(len(answer)) + answer)
        sys.stdout.buffer.flush()
    return 0


def _read(stream: BinaryIO) -> bytes | None:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    return stream.read(length) if length <= _MOST_ORDER else None


if __name__ == "__main__":
    raise SystemExit(main())
