"""Chance that is the same at every run with the same seed."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

Chosen = TypeVar("Chosen")


class Chance:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._count = 0

    def number(self) -> int:
        """The next number, of 256 bits."""
        self._count += 1
        return int.from_bytes(hashlib.sha256(f"{self._seed}/{self._count}".encode()).digest())

    def choice(self, among: Sequence[Chosen]) -> Chosen:
        return among[self.number() % len(among)]

    def hex(self, digits: int = 32) -> str:
        return f"{self.number():064x}"[:digits]
