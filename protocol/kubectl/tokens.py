"""A line into words, by the quoting rules of a shell but without one: what a shell would act on is refused by name."""

import re
from collections.abc import Sequence

from protocol.kubectl.calls import GrammarError
from protocol.text import clean

MAX_LINE = 8192
MAX_WORDS = 200

_REFUSED = {
    "|": "pipes are not run; ask for -o name, -o jsonpath=..., -l or --tail instead",
    ">": "redirections are not run; nothing is written to files",
    "<": "redirections are not run; nothing is read from files",
    ";": "one command a line",
    "&": "one command a line, in the foreground",
    "`": "there is no shell, so nothing is substituted",
    "$": "there is no shell, so variables and $( ) are not expanded; write the value",
    "(": "there is no shell; put parentheses in single quotes",
    ")": "there is no shell; put parentheses in single quotes",
    "\n": "one command a line",
    "\r": "one command a line",
}
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_SPACE = " \t"


def words(line: str | Sequence[str]) -> list[str]:
    """The words after `kubectl`. Raises GrammarError for shell syntax, VAR=x prefixes and other programs."""
    found = _split(line) if isinstance(line, str) else _checked(line)
    if not found:
        raise GrammarError("", "the line is empty; write for example: kubectl get pods -n shop")
    if len(found) > MAX_WORDS:
        raise GrammarError(found[MAX_WORDS], f"the line has {len(found)} words; at most {MAX_WORDS} are taken")
    first = found[0]
    if _ASSIGNMENT.match(first):
        raise GrammarError(first, f"{first!r} sets an environment variable; lines begin with kubectl or its verb")
    if first == "kubectl":
        found = found[1:]
    elif "/" in first or "kubectl" in first:
        raise GrammarError(first, f"{first!r} is a program; lines begin with the word kubectl or its verb, never with a path")
    if not found:
        raise GrammarError("kubectl", "kubectl needs a verb, for example: kubectl get pods -n shop")
    return found


def _checked(argv: Sequence[str]) -> list[str]:
    """An argv has been split by somebody else; a word that is shell syntax by itself shows that it was not meant as one."""
    for word in argv:
        _check_characters(word)
        if word in ("|", "||", ">", ">>", "<", "<<", ";", "&", "&&", "2>", "2>&1", "&>"):
            raise GrammarError(word, f"{word!r}: {_REFUSED[word.lstrip('2')[0]]}")
    if sum(map(len, argv)) > MAX_LINE:
        raise GrammarError("", f"the line is longer than {MAX_LINE} characters")
    return list(argv)


def _check_characters(text: str) -> None:
    if clean(text) != text.replace("\r", "\n"):
        raise GrammarError(text, "the line holds control, invisible or bidirectional characters; type it again")
    if "\n" in text or "\r" in text:
        raise GrammarError("\\n", f"line break: {_REFUSED[chr(10)]}")


def _split(line: str) -> list[str]:
    line = line.strip(" \t\r\n")
    if len(line) > MAX_LINE:
        raise GrammarError("", f"the line is longer than {MAX_LINE} characters")
    _check_characters(line)
    found: list[str] = []
    at = 0
    while at < len(line):
        if line[at] in _SPACE:
            at += 1
            continue
        word, at = _word(line, at)
        found.append(word)
    return found


def _word(line: str, at: int) -> tuple[str, int]:
    """One word from `at`, and where it ends."""
    if line[at] == "#":
        raise GrammarError("#", "'#': comments are not taken")
    word: list[str] = []
    while at < len(line) and line[at] not in _SPACE:
        char = line[at]
        if char in _REFUSED:
            raise GrammarError(char, f"{char!r}: {_REFUSED[char]}")
        if char == "'":
            piece, at = _single_quoted(line, at + 1)
        elif char == '"':
            piece, at = _double_quoted(line, at + 1)
        elif char == "\\":
            if at + 1 >= len(line):
                raise GrammarError("\\", "the line ends with a backslash")
            piece, at = line[at + 1], at + 2
        else:
            piece, at = char, at + 1
        word.append(piece)
    return "".join(word), at


def _single_quoted(line: str, at: int) -> tuple[str, int]:
    end = line.find("'", at)
    if end < 0:
        raise GrammarError("'", "a single quote is not closed")
    return line[at:end], end + 1


def _double_quoted(line: str, at: int) -> tuple[str, int]:
    piece: list[str] = []
    while at < len(line):
        char = line[at]
        if char == '"':
            return "".join(piece), at + 1
        if char in "$`":
            raise GrammarError(char, f"{char!r} in double quotes: {_REFUSED[char]}")
        if char == "\\" and at + 1 < len(line) and line[at + 1] in '"\\$`':
            at += 1
            char = line[at]
        piece.append(char)
        at += 1
    raise GrammarError('"', "a double quote is not closed")
