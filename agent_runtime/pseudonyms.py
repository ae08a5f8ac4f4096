"""Pseudonyms."""

from collections.abc import Callable
from typing import Protocol


class Reveal(Protocol):
    def feed(self, piece: str) -> None: ...
    def end(self) -> None: ...


class Names(Protocol):
    """How names of objects stand in what a model reads and writes."""

    def hide(self, text: str) -> str: ...
    def reveal(self, text: str) -> str: ...
    def stream(self, shown: Callable[[str], None]) -> Reveal: ...


class _Through:
    def __init__(self, shown: Callable[[str], None]) -> None:
        self.feed = shown

    def end(self) -> None:
        return None


class _Plain:
    def hide(self, text: str) -> str:
        return text

    def reveal(self, text: str) -> str:
        return text

    def stream(self, shown: Callable[[str], None]) -> Reveal:
        return _Through(shown)


PLAIN: Names = _Plain()
"""Names as they are."""
