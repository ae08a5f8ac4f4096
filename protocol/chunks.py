"""Results that are too long for one message: split by the runner, joined by the asker."""

import base64
from collections.abc import Sequence

from protocol.commands import CHUNK_BYTES, Chunk, CommandResult, Final

_PIECE = CHUNK_BYTES * 3 // 4
"""Base64 makes 4 bytes of 3, and a message of CHUNK_BYTES with its envelope still fits NATS's default limit."""


def messages_of(result: CommandResult) -> list[Final | Chunk]:
    """One Final, or numbered Chunks (n from 1) of the result's JSON; no Final follows chunks."""
    final = Final(result=result)
    raw = result.model_dump_json().encode()
    if len(raw) <= CHUNK_BYTES:
        return [final]
    pieces = [raw[at : at + _PIECE] for at in range(0, len(raw), _PIECE)]
    return [
        Chunk(id=result.id, n=n, of=len(pieces), data=base64.b64encode(piece).decode())
        for n, piece in enumerate(pieces, start=1)
    ]


def join(chunks: Sequence[Chunk]) -> CommandResult | None:
    """The result once every piece is there, in any order, repeated ones allowed; None while one is missing.

    Raises ValueError when the pieces do not make a result.
    """
    by_number = {chunk.n: chunk for chunk in chunks}
    if not chunks or len(by_number) < chunks[0].of:
        return None
    raw = b"".join(base64.b64decode(by_number[n].data, validate=True) for n in sorted(by_number))
    return CommandResult.model_validate_json(raw)
