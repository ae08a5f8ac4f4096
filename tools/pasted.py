"""What a person pasted with a question: a log, a manifest, somebody else's message. It is data for the model, as the cluster's
text is. Pure."""

import re

from tools.answer import CLOSE, OPEN, fence, unforged

LONG = 3
"""So many lines in a row behind the first are no sentence any more."""
MOST = 20_000
"""Characters: a question has no more."""

_BLOCK = re.compile(r"```[^\n`]{0,40}\n(?P<inner>.*?)(?:\n```|\Z)", re.DOTALL)


def asked(text: str) -> str:
    """The question, with code blocks and runs of lines between marks that they can't forge. A question of a line or two stays
    as it is."""
    pieces: list[str] = []
    at = 0
    for block in _BLOCK.finditer(text):
        pieces += (_lines(text[at : block.start()]), fence(block.group("inner"), limit=MOST))
        at = block.end()
    pieces.append(_lines(text[at:]))
    return "\n".join(piece for piece in pieces if piece)


def without_marks(text: str) -> str:
    """As the person wrote it: for rules that read the question themselves."""
    return text.replace(f"{OPEN}\n", "").replace(f"\n{CLOSE}", "")


def _lines(text: str) -> str:
    first, _, rest = text.strip("\n").partition("\n")
    if rest.count("\n") + 1 < LONG:
        return unforged(text.strip("\n"))
    return f"{unforged(first)}\n{fence(rest, limit=MOST)}"
