"""Secrets that are known by their own shape, whatever stands around them. One row a shape, with its source.

Every pattern begins at a literal or behind a boundary and repeats possessively, so none looks at a character more than a
bounded number of times.
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass

from protocol.redaction.mark import MARK, Span

# At the beginning of a word: behind anything but a word character, or behind an escaped line break or tab.
_START = r"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt]))"


@dataclass(frozen=True, slots=True)
class Shape:
    """Group `s` of the pattern is the secret. `hints`: one of these must occur, or the text is passed over at the speed of
    a substring search. `accept` has the last word."""

    what: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    accept: Callable[[str], bool] | None = None

    def apply(self, text: str) -> tuple[str, int]:
        if not any(hint in text for hint in self.hints):
            return text, 0
        count = 0

        def black_out(match: re.Match[str]) -> str:
            nonlocal count
            secret = match.group("s")
            if secret.startswith(MARK) or (self.accept is not None and not self.accept(secret)):
                return match.group()
            count += 1
            start, end = match.start("s") - match.start(), match.end("s") - match.start()
            return match.group()[:start] + MARK + match.group()[end:]

        return self.pattern.sub(black_out, text), count


def _has_digit(secret: str) -> bool:
    return any(char.isdigit() for char in secret)


def _is_basic(secret: str) -> bool:
    """Base64 of user:password."""
    try:
        return b":" in base64.b64decode(secret + "=" * (-len(secret) % 4), validate=True)
    except binascii.Error:
        return False


def _shape(what: str, hints: str, pattern: str, accept: Callable[[str], bool] | None = None) -> Shape:
    return Shape(what, tuple(hints.split()), re.compile(pattern.replace("^^", _START)), accept)


SHAPES: tuple[Shape, ...] = (
    # RFC 3986 userinfo: everything between the first colon and the @ before the host.
    _shape("password in a URL", "://", r"(?<=://)[^\s/@:\"'<>]{0,200}+:(?P<s>[^\s/@\"'<>]{1,500}+)@"),
    _shape(
        "password in a database URL",
        "://",
        r"\b(?:postgres|postgresql|mysql|mariadb|mongodb|redis|rediss|amqp|amqps|nats)(?:\+[a-z]{1,12})?://"
        r"[^\s/@:\"'<>]{0,200}+:(?P<s>[^\s@\"'<>]{1,500}+)@",
    ),
    _shape("password in a Go DSN", "@tcp( @unix(", r"(?<![\w.-])[\w.-]{1,64}+:(?P<s>[^\s@\"'/]{1,200}+)@(?:tcp|unix)\("),
    _shape("JWT, whole or cut", "eyJ", r"^^(?P<s>eyJ[A-Za-z0-9_-]{8,}+\.(?:eyJ)?[A-Za-z0-9_-]{4,}+(?:\.[A-Za-z0-9_-]*+)?)"),
    _shape("head of a JWT", "eyJ", r"^^(?P<s>eyJ(?:hbGciOi|0eXAiOi|raWQiOi|jdHkiOi)[A-Za-z0-9_-]*+)"),
    _shape(
        "bearer token",
        "earer EARER",
        r"(?i:\bbearer)(?:[ \t]{1,4}|%20|\+)(?P<s>[A-Za-z0-9._~+/-]{12,}+={0,2})",
        _has_digit,
    ),
    _shape("basic credentials", "asic ASIC", r"(?i:\bbasic)(?:[ \t]{1,4}|%20|\+)(?P<s>[A-Za-z0-9+/]{8,}+={0,2})", _is_basic),
    _shape("private key in base64", "LS0tLS1CRUdJTi", r"(?P<s>LS0tLS1CRUdJTi(?!BDRVJU|BQVUJMSU)[A-Za-z0-9+/=]*+)"),
    _shape("AWS access key id", "AKIA ASIA", r"^^(?P<s>(?:AKIA|ASIA)[A-Z0-9]{16})(?![A-Za-z0-9])"),
    _shape("GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", r"^^(?P<s>gh[pousr]_[A-Za-z0-9]{16,}+)"),
    _shape("GitHub fine-grained token", "github_pat_", r"^^(?P<s>github_pat_[A-Za-z0-9_]{16,}+)"),
    _shape("GitLab token", "glpat- gldt- glrt- glcbt- glptt-", r"^^(?P<s>gl(?:pat|dt|rt|cbt|ptt)-[\w-]{16,}+)"),
    _shape("Slack token", "xox xapp-", r"^^(?P<s>(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,}+)"),
    _shape(
        "Slack webhook", "hooks.slack.com/", r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<s>[A-Za-z0-9/_-]{8,}+)"
    ),
    _shape("Discord webhook", "/api/webhooks/", r"/api/webhooks/[0-9]{10,25}+/(?P<s>[\w-]{20,}+)"),
    _shape("OpenAI or Anthropic key", "sk-", r"^^(?P<s>sk-(?:(?:proj|ant|svcacct|admin|or)-[\w-]{16,}+|[A-Za-z0-9]{32,}+))"),
    _shape("Stripe key", "_live_ _test_ whsec_", r"^^(?P<s>(?:[sr]k_(?:live|test)|whsec)_[A-Za-z0-9]{12,}+)"),
    _shape("Google API key", "AIza", r"^^(?P<s>AIza[\w-]{30,}+)"),
    _shape("Google OAuth token", "ya29. GOCSPX-", r"^^(?P<s>(?:ya29\.|GOCSPX-)[\w-]{16,}+)"),
    _shape("npm or PyPI token", "npm_ pypi-", r"^^(?P<s>npm_[A-Za-z0-9]{30,}+|pypi-AgE[\w-]{30,}+)"),
    _shape("Hugging Face token", "hf_", r"^^(?P<s>hf_[A-Za-z0-9]{30,}+)"),
    _shape("Vault token", "hvs. hvb. hvr.", r"^^(?P<s>hv[sbr]\.[\w-]{20,}+)"),
    _shape("DigitalOcean token", "_v1_", r"^^(?P<s>do[opr]_v1_[a-f0-9]{32,}+)"),
    _shape("SendGrid key", "SG.", r"^^(?P<s>SG\.[\w-]{16,40}\.[\w-]{16,60})"),
    _shape("Telegram bot token", ":AA", r"(?<![\w-])(?:bot)?[0-9]{8,10}:(?P<s>AA[\w-]{33})(?![\w-])"),
    _shape("age key", "AGE-SECRET-KEY-", r"(?P<s>AGE-SECRET-KEY-1[A-Z0-9]{20,}+)"),
    _shape("Azure shared access signature", "sig=", r"[?&]sig=(?P<s>[\w%+/-]{16,}+)"),
    _shape("curl -u user:password", "-u --user", r"(?:\s-u|\s--user)[ \t=]{1,3}[\"']?[\w.@-]{1,64}+:(?P<s>[^\s\"']{1,200}+)"),
    _shape("netrc", "login", r"\blogin\s{1,8}\S{1,100}+\s{1,8}password\s{1,8}(?P<s>\S{1,200}+)"),
    _shape("Redis password", "requirepass masterauth", r"(?:requirepass|masterauth)[ \t]{1,8}[\"']?(?P<s>[^\s\"']{1,200}+)"),
    _shape("SQL password", "IDENTIFIED identified", r"(?i:\bidentified by)\s{1,8}'(?P<s>[^'\n]{1,200}+)"),
)

_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
# Base64 and what stands between its lines, escaped line breaks and YAML indentation included; also PEM headers.
_PEM_BODY = re.compile(r"(?:[A-Za-z0-9+/=\s]|\\+[nrt]|(?:Proc-Type|DEK-Info|Version|Comment): ?[^\n\\]{0,100})*+")
_PEM_CHARS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\\ \t\r\n"
_PEM_REACH = 20_000


def private_keys(text: str) -> list[Span]:
    """PEM private keys, also when the beginning or the end has been cut off."""
    if "PRIVATE KEY" not in text:
        return []
    spans: list[Span] = []
    at = 0
    while (end := _PEM_END.search(text, at)) is not None:
        begin = _PEM_BEGIN.search(text, at, end.start())
        while begin is not None:
            start = begin.start()
            body = _PEM_BODY.match(text, begin.end())
            stop = body.end() if body else begin.end()
            spans.append((start, end.end() if stop >= end.start() else stop))
            at = spans[-1][1]
            begin = _PEM_BEGIN.search(text, at, end.start()) if at < end.start() else None
        if at < end.end():
            start = _tail_of_key(text, at, end.start())
            spans.append((start, end.end()))
            at = end.end()
    while (begin := _PEM_BEGIN.search(text, at)) is not None:
        body = _PEM_BODY.match(text, begin.end())
        at = body.end() if body else begin.end()
        spans.append((begin.start(), at))
    return spans


def _tail_of_key(text: str, floor: int, end: int) -> int:
    """Where the base64 before an END line begins."""
    before = text[max(floor, end - _PEM_REACH) : end]
    return end - (len(before) - len(before.rstrip(_PEM_CHARS)))
