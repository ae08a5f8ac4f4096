"""Log signatures: which lines mean what. A table; matching is linear; text in a log never does more than match a row.

A row fires only on lines that hold one of its needles, so that most logs cost one substring search a needle.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from knowledge.diagnosis.addresses import Address, addresses_in_text
from knowledge.diagnosis.fields import when

TAIL_CHARS = 64 * 1024
LINE_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Signature:
    """`needles` are lower case; `pattern`, when given, must match the line too, and its group 1 is the subject."""

    name: str
    code: str
    needles: tuple[str, ...]
    pattern: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """One signature in one log: the last line that matched, how often, when. `subject` is a variable, file or status."""

    signature: Signature
    line: str
    count: int
    at: datetime | None
    subject: str
    addresses: tuple[Address, ...]
    last_index: int
    """How many lines from the end of the log the last match stands; 0 is the last line."""


def _row(name: str, code: str, needles: str, pattern: str | None = None) -> Signature:
    return Signature(name, code, tuple(needles.split("|")), re.compile(pattern, re.IGNORECASE) if pattern else None)


_NAME = r"['\"`$\{\[]{0,3}([A-Z][A-Z0-9_]{2,63})\b"

SIGNATURES: tuple[Signature, ...] = (
    # a variable that is not there
    _row(
        "env-undefined",
        "env-variable-missing",
        "undefined|not defined",
        r"environment variable " + _NAME + r".{0,20} (?:is )?(?:undefined|not defined)",
    ),
    _row(
        "env-not-set",
        "env-variable-missing",
        "not set|unset|must be set|is required|missing",
        r"(?:environment variable|env(?:ironment)? var|variable|env)s?:? "
        + _NAME
        + r".{0,12}(?:(?:is|was) )?(?:not set|unset|must be set|required|missing)",
    ),
    _row(
        "env-missing",
        "env-variable-missing",
        "missing|required|undefined|unset",
        (
            r"(?:missing|required|undefined|unset) (?:required )?(?:mandatory )?(?:environment variable|"
            r"env(?:ironment)? var(?:iable)?|env|variable|config(?:uration)? variable)s?:? {0,2}"
        )
        + _NAME,
    ),
    _row(
        "env-name-first",
        "env-variable-missing",
        "must be set|is not set|not set|is required|environment variable",
        r"(?<![\w])"
        + _NAME
        + (
            r"['\"`\}\]]{0,2} (?:environment variable )?(?:must be set|is not set|not set|is "
            r"required|is missing|environment variable (?:is )?(?:not set|missing|required))"
        ),
    ),
    _row("env-python", "env-variable-missing", "keyerror", r"KeyError: ['\"]([A-Z][A-Z0-9_]{2,63})['\"]"),
    _row(
        "env-shell",
        "env-variable-missing",
        "parameter not set|unbound variable|parameter null or not set",
        r"\b([A-Z][A-Z0-9_]{2,63}): (?:parameter (?:null or )?not set|unbound variable)",
    ),
    _row(
        "env-spring",
        "env-variable-missing",
        "could not resolve placeholder",
        r"could not resolve placeholder ['\"]([A-Za-z][\w.-]{2,100})",
    ),
    # dependencies
    _row("connection-refused", "dependency-unreachable", "connection refused|econnrefused|connectionrefused|actively refused"),
    _row("connection-reset", "dependency-unreachable", "connection reset by peer|econnreset|broken pipe"),
    _row(
        "connection-timeout",
        "dependency-unreachable",
        (
            "i/o timeout|etimedout|connect timed out|connection timed out|"
            "connecttimeout|timed out connecting|context deadline exceeded"
        ),
        r"(?:dial|connect|tcp|connection|upstream|host|get|post|request|read)",
    ),
    _row(
        "no-such-host",
        "dependency-unreachable",
        (
            "no such host|enotfound|eai_again|name or service not known|"
            "name does not resolve|could not resolve host|temporary failure "
            "in name resolution|can't resolve|cannot resolve|unknown host|"
            "unknownhostexception|getaddrinfo|nxdomain|server can't find"
        ),
    ),
    _row("no-route", "dependency-unreachable", "no route to host|ehostunreach|network is unreachable|enetunreach"),
    _row(
        "waiting-for",
        "dependency-unreachable",
        "waiting for|is not ready yet|unavailable - sleeping|not available yet",
        r"(?:waiting for|not ready|unavailable|not available) ?.{0,200}",
    ),
    _row(
        "db-down",
        "dependency-unreachable",
        (
            "the database system is starting up|is the server running|can't connect to mysql|no reachable servers|"
            "serverselectiontimeout|could not connect to redis|error connecting to redis|could not connect to server"
        ),
    ),
    _row(
        "broker-down",
        "dependency-unreachable",
        (
            "no brokers available|broker may not be available|failed to "
            "connect to broker|amqpconnection|nats: no servers available"
        ),
    ),
    # upstream answers
    _row(
        "status-5xx",
        "upstream-errors",
        "50",
        (
            r"(?:status[\"'=: ]{1,4}|HTTP/1\.[01][\"']? |returned |answered "
            r"|responded |response |code[\"'=: ]{1,4}|-> |→ |\" )(50[0234])\b"
        ),
    ),
    _row(
        "bad-gateway",
        "upstream-errors",
        "bad gateway|service unavailable|gateway timeout|gateway time-out",
        r"(bad gateway|service unavailable|gateway time-?out)",
    ),
    _row(
        "upstream-failed",
        "upstream-errors",
        "upstream",
        r"upstream (?:prematurely closed|connect error|timed out|request timeout|.{0,80}unavailable)",
    ),
    _row("grpc-unavailable", "upstream-errors", "code = unavailable|statuscode.unavailable|grpc status 14"),
    _row(
        "rate-limited",
        "upstream-errors",
        "429|too many requests",
        r"(?:status[\"'=: ]{1,4}|HTTP/1\.[01][\"']? |returned |code[\"'=: ]{1,4})(429)\b|too many requests",
    ),
    # authentication, permission, certificates
    _row(
        "auth-failed",
        "authentication-failed",
        (
            "authentication failed|password authentication|access denied for user|invalid "
            "credentials|wrongpass|noauth|login failed|invalid username or password|sasl authentication"
        ),
    ),
    _row("unauthorized", "authentication-failed", "401 unauthorized|status=401|status 401|unauthenticated"),
    _row("file-permission", "permission-denied", "permission denied|eacces|operation not permitted|eperm"),
    _row("read-only-fs", "permission-denied", "read-only file system|erofs"),
    _row("rbac-forbidden", "permission-denied", "is forbidden: user", r"is forbidden: user \"([^\"]{1,200})\""),
    _row(
        "certificate",
        "certificate-invalid",
        (
            "x509:|certificate has expired|certificate verify failed|self signed certificate|self-signed certificate|"
            "unable to get local issuer|pkix path|certificate is not valid|tls: handshake failure|ssl handshake"
        ),
    ),
    # resources
    _row("no-space", "disk-full", "no space left on device|enospc|disk quota exceeded"),
    _row(
        "port-in-use",
        "port-in-use",
        "address already in use|eaddrinuse|port is already allocated",
        r"(?:[:\s]|port )(\d{2,5})\b",
    ),
    _row("java-oom", "memory-limit-too-low", "java.lang.outofmemoryerror", r"OutOfMemoryError:? ?(.{0,60})"),
    _row("node-oom", "memory-limit-too-low", "javascript heap out of memory"),
    _row("malloc-oom", "memory-limit-too-low", "cannot allocate memory|std::bad_alloc|memoryerror|out of memory"),
    _row("too-many-files", "crash-on-start", "too many open files|emfile"),
    # files and configuration
    _row(
        "file-missing",
        "crash-on-start",
        "no such file or directory|enoent|filenotfounderror|filenotfoundexception",
        r"(?:open |stat |file |directory:? |enoent.{0,60})['\"]?(/[\w./-]{1,200})",
    ),
    _row(
        "config-parse",
        "crash-on-start",
        (
            "failed to parse config|invalid configuration|configuration error|error parsing|"
            "cannot unmarshal|yaml:|invalid config|toml:|unexpected token|is not a valid"
        ),
    ),
    _row("exec-format", "image-architecture-mismatch", "exec format error"),
    _row(
        "module-missing",
        "crash-on-start",
        (
            "modulenotfounderror|cannot find module|classnotfoundexception|"
            "noclassdeffounderror|importerror|error while loading shared libraries"
        ),
    ),
    _row(
        "migration",
        "crash-on-start",
        'migration failed|pending migrations|schema version|relation "',
        r"migration|relation \"[\w.]{1,100}\" does not exist|schema version",
    ),
    # endings by language
    _row("go-panic", "crash-on-start", "panic:|fatal error:|goroutine 1 ["),
    _row("python-traceback", "crash-on-start", "traceback (most recent call last)"),
    _row("java-exception", "crash-on-start", "exception in thread|application run failed|caused by:"),
    _row("node-throw", "crash-on-start", "unhandledpromiserejection|uncaughtexception|throw er;|uncaught exception"),
    _row("rust-panic", "crash-on-start", "thread 'main' panicked"),
    _row("dotnet", "crash-on-start", "unhandled exception"),
    _row("segfault", "crash-on-start", "segmentation fault|sigsegv|core dumped"),
    _row("fatal", "crash-on-start", "fatal", r"\b(?:FATAL|fatal)\b"),
)


def scan(log: str) -> list[Match]:
    """The signatures that a log's tail holds, newest line first. Never raises, never backtracks far."""
    tail = log[-TAIL_CHARS:]
    lower = tail.lower()
    present = [row for row in SIGNATURES if any(needle in lower for needle in row.needles)]
    if not present:
        return []
    lines = [line for line in tail.split("\n") if line.strip()]
    found: dict[str, Match] = {}
    for index in range(len(lines)):
        line = lines[-1 - index][:LINE_CHARS]
        low = line.lower()
        for row in present:
            if not any(needle in low for needle in row.needles):
                continue
            subject = ""
            if row.pattern is not None:
                hit = row.pattern.search(line)
                if hit is None:
                    continue
                subject = next((group for group in hit.groups() if group), "") if hit.groups() else ""
            before = found.get(row.name)
            if before is None:
                found[row.name] = Match(row, line, 1, line_time(line), subject, tuple(addresses_in_text(line)), index)
            else:
                found[row.name] = _again(before)
    return sorted(found.values(), key=lambda match: match.last_index)


def _again(match: Match) -> Match:
    return Match(match.signature, match.line, match.count + 1, match.at, match.subject, match.addresses, match.last_index)


_ISO = re.compile(r"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2})(?:[.,]\d{1,9})?(Z|[+-]\d{2}:?\d{2})?")


def line_time(line: str) -> datetime | None:
    """The time that a log line carries near its start, in UTC when it names no zone."""
    found = _ISO.search(line[:120])
    if found is None:
        return None
    zone = found[3] or "Z"
    parsed = when(f"{found[1]}T{found[2]}{zone}")
    return parsed.astimezone(UTC) if parsed else None


def last_lines(log: str, count: int) -> Iterator[str]:
    """The last non-empty lines, oldest first."""
    lines = [line for line in log[-TAIL_CHARS:].split("\n") if line.strip()]
    yield from lines[-count:]
