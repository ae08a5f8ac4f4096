"""Passwords that people say in a sentence: "the password is hunter2", "密码是 hunter2", "パスワードは hunter2"."""

from protocol.redaction.names import is_prose
from protocol.redaction.shapes import shape

_NOT_A_VALUE = frozenset(("yes", "no", "none", "null", "true", "false", "set", "unset"))
_CLOSING = ".,;:!?)\"'"


def _looks_random(word: str) -> bool:
    """No word of a language: it has a digit between letters, or a symbol inside."""
    core = word.strip(_CLOSING)
    if len(core) < 4 or is_prose(core):
        return False
    letters, digits = any(c.isalpha() for c in core), any(c.isdigit() for c in core)
    return (letters and digits) or any(c in "!@#$%^&*+=~" for c in core)


def _is_value(word: str) -> bool:
    """After a colon there need not be a digit; a number of few digits and a path are none all the same."""
    core = word.strip(_CLOSING)
    return (
        len(core) >= 4 and core.lower() not in _NOT_A_VALUE and not core.isdigit() and not core.startswith(("/", "<", "$", "{"))
    )


_NAMES = "密码|口令|令牌|密钥|秘钥|パスワード|トークン|秘密鍵|シークレット|暗証番号"
_OPEN = "[ \t]{0,2}[\"'「『“‘]?"

SENTENCES = (
    shape(
        "password in a sentence",
        "passw Passw PASSW passphrase token Token secret Secret api key API key pwd",
        r"\b(?i:passwords?|passphrase|pwd|tokens?|secret|api[ -]?key)[ \t]{1,2}(?i:is|was|to|are|=)[ \t]{0,2}[\"'`“]?"
        r"(?P<s>[!-~]{4,200}?)(?=[\"'`”]|[.,;]?(?:\s|\Z))",
        _looks_random,
    ),
    shape(
        "password after a colon in Chinese or Japanese",
        "密 口令 令牌 秘 パスワード トークン シークレット 暗証番号",
        rf"(?:{_NAMES})[ \t]{{0,2}}[:：=＝]{_OPEN}(?P<s>[!-&(-~]{{4,200}}+)",
        _is_value,
    ),
    shape(
        "password in a Chinese or Japanese sentence",
        "密 口令 令牌 秘 パスワード トークン シークレット 暗証番号",
        rf"(?:{_NAMES})[ \t]{{0,2}}(?:是|为|が|は){_OPEN}(?P<s>[!-&(-~]{{4,200}}+)",
        _looks_random,
    ),
)
