"""Words into verb, operands and flag values, by the table of flags and by pflag's rules. Knows no verb by itself."""

from collections.abc import Callable
from dataclasses import dataclass, field

from protocol.kubectl.calls import GrammarError
from protocol.kubectl.flags import (
    FLAGS,
    NAMESPACE,
    REFUSED,
    REFUSED_VERBS,
    SUBVERBS,
    SYNONYMS,
    Flag,
    FlagValue,
    allowed,
    boolean,
    flags_of,
    refuse,
)

_BEFORE_VERB = (NAMESPACE, *REFUSED)


@dataclass(slots=True)
class Given:
    """What a line said, with every flag converted."""

    verb: str = ""
    operands: list[str] = field(default_factory=lambda: [])
    flags: dict[str, FlagValue] = field(default_factory=lambda: {})

    def text(self, name: str) -> str:
        value = self.flags.get(name, "")
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> int | None:
        value = self.flags.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def switch(self, name: str, default: bool = False) -> bool:
        value = self.flags.get(name, default)
        return value if isinstance(value, bool) else default

    def maybe(self, name: str) -> bool | None:
        value = self.flags.get(name)
        return value if isinstance(value, bool) else None

    def many(self, name: str) -> tuple[str, ...]:
        value = self.flags.get(name, ())
        return value if isinstance(value, tuple) else ()

    @property
    def namespace(self) -> str | None:
        return self.text("namespace") or None


def read(words: list[str]) -> Given:
    """Raises GrammarError naming the token."""
    given = Given()
    table = _BEFORE_VERB
    at = 0
    path: list[str] = []
    only_operands = False
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--" and not only_operands:
            if not given.verb:
                raise GrammarError("--", "'--' comes before the verb")
            only_operands = True
        elif word.startswith("-") and len(word) > 1 and not only_operands:
            at = _flag(given, table, words, at)
        elif not given.verb:
            path.append(word)
            given.verb = _verb(path)
            if given.verb:
                table = flags_of(given.verb)
        else:
            given.operands.append(word)
    if not given.verb:
        if path:
            choices = ", ".join(SUBVERBS[path[0]])
            raise GrammarError(path[0], f"{path[0]} needs one of: {choices}")
        raise GrammarError(words[-1], "the line has no verb, for example: kubectl get pods -n shop")
    return given


def _verb(path: list[str]) -> str:
    """The whole verb, or "" while a second word is missing."""
    path[0] = SYNONYMS.get(path[0], path[0])
    verb = " ".join(path)
    if verb in FLAGS:
        return verb
    if verb in REFUSED_VERBS:
        raise GrammarError(path[-1], f"'{verb}' is refused: {REFUSED_VERBS[verb]}")
    if len(path) == 1 and verb in SUBVERBS:
        return ""
    if len(path) == 2:
        raise GrammarError(path[1], f"'{verb}' is not known; {path[0]} takes: {', '.join(SUBVERBS[path[0]])}")
    known = sorted({name.split()[0] for name in FLAGS})
    raise GrammarError(path[0], f"{path[0]!r} is not a verb that is taken here; allowed: {', '.join(known)}")


def _flag(given: Given, table: tuple[Flag, ...], words: list[str], at: int) -> int:
    """Take the flag at `at - 1`; returns where the next word is."""
    word = words[at - 1]
    if word.startswith("--"):
        name, equals, value = word[2:].partition("=")
        flag = next((f for f in table if f.name == name), None)
        if flag is None:
            raise _unknown(given.verb, word.partition("=")[0])
        return _take(given, flag, f"--{name}", value if equals else None, words, at)
    return _shorts(given, table, words, at)


def _shorts(given: Given, table: tuple[Flag, ...], words: list[str], at: int) -> int:
    """`-n foo`, `-nfoo`, `-n=foo`, and switches run together: `-Ap`."""
    cluster = words[at - 1][1:]
    while cluster:
        flag = next((f for f in table if f.short == cluster[0]), None)
        token = f"-{cluster[0]}"
        if flag is None:
            raise _unknown(given.verb, token)
        rest = cluster[1:]
        if rest.startswith("="):
            return _take(given, flag, token, rest[1:], words, at)
        if flag.convert is not None:
            return _take(given, flag, token, rest or None, words, at)
        _take(given, flag, token, None, words, at)
        cluster = rest
    return at


def _take(given: Given, flag: Flag, token: str, value: str | None, words: list[str], at: int) -> int:
    if flag.convert is None:
        on = _convert(token, boolean, value) if value is not None else True
        if flag.refused and on:
            refuse(flag, token)
        if not flag.refused:
            _store(given, flag, token, on)
        return at
    if flag.refused:
        refuse(flag, token)
    if value is None and flag.optional_value:
        value = "true"
    elif value is None:
        if at >= len(words):
            raise GrammarError(token, f"{token!r} needs a value")
        value, at = words[at], at + 1
    _store(given, flag, token, _convert(token, flag.convert, value))
    return at


def _convert(token: str, convert: Callable[[str], FlagValue], value: str) -> FlagValue:
    try:
        return convert(value)
    except ValueError as error:
        raise GrammarError(token, f"{token}: {error}") from None


def _store(given: Given, flag: Flag, token: str, value: FlagValue) -> None:
    before = given.flags.get(flag.name)
    if isinstance(before, tuple) and isinstance(value, tuple) and flag.repeats:
        value = before + value
    elif before is not None and before != value:
        raise GrammarError(token, f"{token!r} is given twice with different values; say it once")
    given.flags[flag.name] = value


def _unknown(verb: str, token: str) -> GrammarError:
    if not verb:
        return GrammarError(token, f"{token!r} before the verb is not taken; allowed there: {NAMESPACE.spelled}")
    return GrammarError(token, f"{verb} does not take {token!r}; allowed: {allowed(verb)}")
