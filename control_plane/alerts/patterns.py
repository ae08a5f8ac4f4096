"""Regular expressions in linear time, for label matchers: the whole value must fit, as in Alertmanager.

The part of RE2's syntax that label matchers are written in: literals, `.`, classes, `\\d \\w \\s` and their opposites, groups,
alternatives, `* + ? {m,n}`. What is beyond that is refused in words. Matching walks all states at once, so its time is the
length of the value times the size of the pattern, whatever the pattern is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

MOST_CHARS = 300
MOST_STATES = 600
MOST_REPEATS = 100
_DEPTH = 20
_REMEMBERED = 400
"""Characters that a class knows its answer to: more than a label's value has."""


class NoPattern(ValueError):
    """It is not a pattern of this syntax; the words say where."""


Fits = Callable[[str], bool]
"""Does this character fit?"""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A program: state n fits one character and goes on to n's successor, or splits without one."""

    steps: tuple["_Step", ...]
    begins: int

    def fits(self, value: str) -> bool:
        """The whole of it."""
        states = self._closure((self.begins,))
        for char in value:
            states = self._closure(
                tuple(step.to[0] for n in states if (step := self.steps[n]).char is not None and step.char(char))
            )
            if not states:
                return False
        return any(self.steps[n].end for n in states)

    def _closure(self, states: tuple[int, ...]) -> tuple[int, ...]:
        seen: dict[int, None] = {}
        waiting = list(states)
        while waiting:
            n = waiting.pop()
            if n in seen:
                continue
            seen[n] = None
            if self.steps[n].char is None:
                waiting.extend(self.steps[n].to)
        return tuple(seen)


@dataclass(frozen=True, slots=True)
class _Step:
    char: Fits | None = None
    """None: goes on by itself to all of `to`."""
    to: tuple[int, ...] = ()
    end: bool = False


@lru_cache(maxsize=256)
def pattern(text: str) -> Pattern:
    """Raises NoPattern."""
    if len(text) > MOST_CHARS:
        raise NoPattern(f"it has {len(text)} characters, {MOST_CHARS} is the most")
    parser = _Parser(text)
    tree = parser.alternatives(0)
    if not parser.done:
        raise NoPattern(f"a ) at {parser.at + 1} closes nothing")
    program = _Program()
    begins = program.begin(tree, 0)
    return Pattern(tuple(program.steps), begins)


@dataclass(frozen=True, slots=True)
class _Char:
    fits: Fits


@dataclass(frozen=True, slots=True)
class _All:
    parts: tuple["_Tree", ...]


@dataclass(frozen=True, slots=True)
class _Any:
    parts: tuple["_Tree", ...]


@dataclass(frozen=True, slots=True)
class _Repeat:
    part: "_Tree"
    least: int
    most: int | None


_Tree = _Char | _All | _Any | _Repeat


_SPECIAL = frozenset("*+?{}()[]|.^$\\")
_SHORT: dict[str, Fits] = {
    "d": lambda c: c.isascii() and c.isdigit(),
    "w": lambda c: c.isascii() and (c.isalnum() or c == "_"),
    "s": lambda c: c in " \t\n\r\f\v",
}
_CONTROL = {"n": "\n", "t": "\t", "r": "\r"}


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    @property
    def done(self) -> bool:
        return self.at >= len(self.text)

    def alternatives(self, depth: int) -> _Tree:
        if depth > _DEPTH:
            raise NoPattern(f"its groups are nested more than {_DEPTH} deep")
        parts = [self._sequence(depth)]
        while self._took("|"):
            parts.append(self._sequence(depth))
        return parts[0] if len(parts) == 1 else _Any(tuple(parts))

    def _sequence(self, depth: int) -> _Tree:
        parts: list[_Tree] = []
        while not self.done and self.text[self.at] not in "|)":
            parts.append(self._repeated(self._one(depth)))
        return _All(tuple(parts))

    def _one(self, depth: int) -> _Tree:
        char = self._next()
        if char == "(":
            if self._took("?") and not self._took(":"):
                raise NoPattern("groups are ( ) or (?: ); look-around and flags are not taken")
            inner = self.alternatives(depth + 1)
            if not self._took(")"):
                raise NoPattern("a ( is not closed")
            return inner
        if char == "[":
            return _Char(self._class())
        if char == ".":
            return _Char(lambda c: c != "\n")
        if char == "\\":
            return _Char(self._escaped())
        if char in "^$":
            if (char == "^") == (self.at == 1) and (char == "^" or self.done):
                return _All(())  # the whole value is matched anyway
            raise NoPattern(f"{char} in the middle never fits; the whole value is matched anyway")
        if char in _SPECIAL and char not in "]}":
            raise NoPattern(f"{char} at {self.at} has nothing before it; write \\{char} for the character")
        return _Char(_is(char))

    def _repeated(self, part: _Tree) -> _Tree:
        times = 0
        while not self.done and (bounds := self._bounds()) is not None:
            self._took("?")  # a lazy one fits the same values
            times += 1
            if times > 1:
                raise NoPattern("two repetitions follow each other; put the first into a group")
            part = _Repeat(part, *bounds)
        return part

    def _bounds(self) -> tuple[int, int | None] | None:
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._took(sign):
                return bounds
        if not self._took("{"):
            return None
        inner, closed, _ = self.text[self.at :].partition("}")
        least, comma, most = inner.partition(",")
        if not closed or not (least.isascii() and least.isdigit()) or (most and not (most.isascii() and most.isdigit())):
            raise NoPattern("a repetition is {2}, {2,} or {2,5}; write \\{ for the character")
        self.at += len(inner) + 1
        low, high = int(least[:6]), int(most[:6]) if most else None if comma else int(least[:6])
        if low > MOST_REPEATS or (high is not None and (high > MOST_REPEATS or high < low)):
            raise NoPattern(f"{{{inner}}} repeats at most {MOST_REPEATS} times, the smaller number first")
        return low, high

    def _class(self) -> Fits:
        negated = self._took("^")
        fits: list[Fits] = []
        while fits == [] or not self._took("]"):
            if self.done:
                raise NoPattern("a [ is not closed")
            fits.append(self._member())
        chosen = tuple(fits)

        # A class may have hundreds of members, and be asked about the same character in hundreds of states.
        @lru_cache(maxsize=_REMEMBERED)
        def member(char: str) -> bool:
            return any(one(char) for one in chosen) != negated

        return member

    def _member(self) -> Fits:
        if self.text.startswith("[:", self.at):
            raise NoPattern("classes such as [:alpha:] are not taken; write a-z")
        char = self._next()
        if char == "\\":
            following = self.text[self.at : self.at + 1]
            if following.lower() in _SHORT:
                return self._escaped()
            char = self._literal()
        if self.text[self.at : self.at + 1] != "-" or self.text[self.at + 1 : self.at + 2] in ("]", ""):
            return _is(char)
        self.at += 1
        last = self._next()
        last = self._literal() if last == "\\" else last
        if last < char:
            raise NoPattern(f"{char}-{last} is empty; the smaller character comes first")
        return lambda c: char <= c <= last

    def _escaped(self) -> Fits:
        short = self.text[self.at : self.at + 1]
        if short.lower() in _SHORT:
            self.at += 1
            known = _SHORT[short.lower()]
            return known if short.islower() else lambda c: not known(c)
        return _is(self._literal())

    def _literal(self) -> str:
        """What stands behind a backslash."""
        char = self._next()
        if char in _CONTROL:
            return _CONTROL[char]
        if char.isalnum():
            raise NoPattern(f"\\{char} is not taken")
        return char

    def _next(self) -> str:
        if self.done:
            raise NoPattern("it ends too early")
        self.at += 1
        return self.text[self.at - 1]

    def _took(self, sign: str) -> bool:
        if not self.text.startswith(sign, self.at):
            return False
        self.at += len(sign)
        return True


def _is(char: str) -> Fits:
    return lambda c: c == char


class _Program:
    """Built from its end: each part is told where it goes on, and says where it begins."""

    def __init__(self) -> None:
        self.steps: list[_Step] = [_Step(end=True)]

    def add(self, step: _Step) -> int:
        if len(self.steps) >= MOST_STATES:
            raise NoPattern("it is too large; repeat less")
        self.steps.append(step)
        return len(self.steps) - 1

    def begin(self, tree: _Tree, then: int) -> int:
        match tree:
            case _Char(fits):
                return self.add(_Step(fits, (then,)))
            case _All(parts):
                for part in reversed(parts):
                    then = self.begin(part, then)
                return then
            case _Any(parts):
                return self.add(_Step(to=tuple(self.begin(part, then) for part in parts)))
            case _Repeat(part, least, most):
                then = self._more(part, then, None if most is None else most - least)
                for _ in range(least):
                    then = self.begin(part, then)
                return then

    def _more(self, part: _Tree, then: int, most: int | None) -> int:
        """Any number of times, up to `most`."""
        if most is None:
            again = self.add(_Step())
            self.steps[again] = _Step(to=(self.begin(part, again), then))
            return again
        begins = then
        for _ in range(most):
            begins = self.add(_Step(to=(self.begin(part, begins), then)))
        return begins
