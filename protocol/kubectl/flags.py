"""The flags of each verb, as a table. The table is the specification: what it does not list is refused by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from protocol.kubectl import jsonpath, selectors
from protocol.kubectl.calls import GrammarError
from protocol.objects import valid_namespace

FlagValue = str | int | bool | tuple[str, ...]
Convert = Callable[[str], FlagValue]


@dataclass(frozen=True, slots=True)
class Flag:
    """`convert` None makes a switch. `refused` is the reason why the flag, when set, is not taken; `--flag=false` of a
    refused switch says nothing and is taken. `default` is what the bare flag means where a value is optional."""

    name: str
    short: str = ""
    convert: Convert | None = None
    refused: str = ""
    repeats: bool = False
    optional_value: bool = False

    @property
    def spelled(self) -> str:
        return f"--{self.name}" + (f"/-{self.short}" if self.short else "")


def text(value: str) -> str:
    return value


def _namespace(value: str) -> str:
    if not valid_namespace(value):
        raise ValueError(f"{value!r} is not a namespace name: lower-case letters, digits and dashes, at most 63")
    return value


def whole(least: int, most: int) -> Convert:
    def convert(value: str) -> int:
        if not value.removeprefix("-").isascii() or not value.removeprefix("-").isdigit() or len(value) > 12:
            raise ValueError(f"{value!r} is not a whole number")
        number = int(value)
        if not least <= number <= most:
            raise ValueError(f"{number} is not between {least} and {most}")
        return number

    return convert


def one_of(*allowed: str) -> Convert:
    def convert(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"{value!r} is not one of {', '.join(allowed)}")
        return value

    return convert


def list_of(*allowed: str) -> Convert:
    by_lower = {word.lower(): word for word in allowed}

    def convert(value: str) -> tuple[str, ...]:
        words = value.split(",")
        unknown = next((word for word in words if word.lower() not in by_lower), None)
        if unknown is not None:
            raise ValueError(f"{unknown!r} is not one of {', '.join(allowed)}")
        return tuple(by_lower[word.lower()] for word in words)

    return convert


def boolean(value: str) -> bool:
    """As Go's strconv.ParseBool."""
    if value in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if value in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError(f"{value!r} is not true or false")


def output(*plain: str, path: bool = False) -> Convert:
    """-o with the given forms; `path` adds jsonpath=EXPRESSION."""
    allowed = (*plain, *(("jsonpath=...",) if path else ()))

    def convert(value: str) -> str:
        form, equals, rest = value.partition("=")
        if path and form == "jsonpath":
            if not equals or not rest:
                raise ValueError("jsonpath needs an expression: -o jsonpath='{.items[*].metadata.name}'")
            return f"jsonpath={jsonpath.check(rest)}"
        if value not in plain:
            raise ValueError(f"the form {form!r} is not spoken here; allowed: {', '.join(allowed)}")
        return value

    return convert


def refuse(flag: Flag, token: str) -> NoReturn:
    raise GrammarError(token, f"{token!r} is never accepted: {flag.refused}")


_IDENTITY = "the runner's own connection and identity are used"
_NOTHING_FOLLOWED = "nothing is followed here; ask again to see what is new"
_FROM_OUTSIDE = "no files, URLs or manifests are read; writes are proposed as typed changes of one object"

REFUSED: tuple[Flag, ...] = (
    *(
        Flag(name, short, text, refused=_IDENTITY)
        for name, short in (
            ("kubeconfig", ""), ("server", "s"), ("token", ""), ("as", ""), ("as-group", ""), ("as-uid", ""),
            ("as-user-extra", ""), ("context", ""), ("cluster", ""), ("user", ""), ("username", ""), ("password", ""),
            ("client-certificate", ""), ("client-key", ""), ("certificate-authority", ""), ("tls-server-name", ""),
            ("proxy-url", ""), ("cache-dir", ""), ("profile-output", ""), ("kuberc", ""),
        )
    ),
    Flag("insecure-skip-tls-verify", refused=_IDENTITY),
    Flag("insecure-skip-tls-verify-backend", refused=_IDENTITY),
    Flag("filename", "f", text, refused=_FROM_OUTSIDE),
    Flag("kustomize", "k", text, refused=_FROM_OUTSIDE),
    Flag("recursive", "R", refused=_FROM_OUTSIDE),
    Flag("raw", convert=text, refused="paths of the API are not taken; name a type and an object"),
    Flag("template", convert=text, refused="templates are not run; use -o jsonpath=... or -o json"),
    Flag("output-directory", convert=text, refused="nothing is written to files"),
    Flag("watch", "w", refused=_NOTHING_FOLLOWED),
    Flag("watch-only", refused=_NOTHING_FOLLOWED),
    Flag("follow", refused=_NOTHING_FOLLOWED),
    Flag("dry-run", convert=text, optional_value=True, refused="only a change has a dry run; a read changes nothing"),
    Flag("force", refused="it skips the cluster's own safeguards"),
    Flag("now", refused="the pod's own grace period is kept"),
    Flag("grace-period", convert=text, refused="the pod's own grace period is kept"),
    Flag("cascade", convert=text, optional_value=True, refused="dependants are handled by the cluster"),
    Flag("all", refused="a change is about one object, which it names"),
    Flag("disable-eviction", refused="it goes around PodDisruptionBudgets"),
    Flag("show-managed-fields", refused="managed fields are not kept"),
    Flag("v", "v", text, refused="there is no log level here"),
    Flag("request-timeout", convert=text, refused="the runner has time-outs of its own"),
)  # fmt: skip

NAMESPACE = Flag("namespace", "n", _namespace)
ALL_NAMESPACES = Flag("all-namespaces", "A")
SELECTOR = Flag("selector", "l", selectors.label_selector)
NO_HEADERS = Flag("no-headers")
CONTAINER = Flag("container", "c", text)
DRY_RUN = Flag("dry-run", convert=one_of("client", "server", "none"))
CHUNK = Flag("chunk-size", convert=whole(0, 100_000))

_WRITES = (NAMESPACE, DRY_RUN)

FLAGS: dict[str, tuple[Flag, ...]] = {
    "get": (
        NAMESPACE,
        ALL_NAMESPACES,
        SELECTOR,
        Flag("field-selector", convert=selectors.field_selector),
        Flag("output", "o", output("json", "yaml", "wide", "name", path=True)),
        Flag("show-labels"),
        NO_HEADERS,
        Flag("sort-by", convert=jsonpath.check_sort),
        Flag("ignore-not-found"),
        CHUNK,
    ),
    "describe": (NAMESPACE, ALL_NAMESPACES, SELECTOR, Flag("show-events"), CHUNK),
    "logs": (
        NAMESPACE,
        SELECTOR,
        CONTAINER,
        Flag("all-containers"),
        Flag("previous", "p"),
        Flag("tail", convert=whole(-1, 1_000_000)),
        Flag("since", convert=selectors.seconds),
        Flag("since-time", convert=selectors.rfc3339),
        Flag("timestamps"),
        Flag("prefix"),
        Flag("limit-bytes", convert=whole(1, 1_000_000_000)),
        Flag("follow", "f", refused=_NOTHING_FOLLOWED),
    ),
    "top": (
        NAMESPACE,
        ALL_NAMESPACES,
        SELECTOR,
        Flag("containers"),
        Flag("sort-by", convert=one_of("cpu", "memory")),
        NO_HEADERS,
    ),
    "events": (
        NAMESPACE,
        ALL_NAMESPACES,
        Flag("for", convert=text),
        Flag("types", convert=list_of("Normal", "Warning"), repeats=True),
        Flag("output", "o", output("json", "yaml", "wide", "name")),
        NO_HEADERS,
    ),
    "version": (Flag("output", "o", output("json", "yaml")),),
    "cluster-info": (),
    "api-resources": (
        Flag("namespaced", convert=boolean, optional_value=True),
        Flag("api-group", convert=text),
        Flag("output", "o", output("wide", "name")),
        NO_HEADERS,
    ),
    "rollout status": (NAMESPACE, Flag("timeout", convert=selectors.seconds)),
    "rollout history": (NAMESPACE, Flag("revision", convert=whole(0, 1_000_000))),
    "auth can-i": (NAMESPACE, ALL_NAMESPACES, Flag("list"), Flag("subresource", convert=text), NO_HEADERS),
    "scale": (*_WRITES, Flag("replicas", convert=whole(0, 10_000))),
    "rollout restart": _WRITES,
    "rollout undo": (*_WRITES, Flag("to-revision", convert=whole(0, 1_000_000))),
    "set image": _WRITES,
    "set resources": (*_WRITES, CONTAINER, Flag("limits", convert=text), Flag("requests", convert=text)),
    "set env": (*_WRITES, CONTAINER),
    "delete": _WRITES,
    "cordon": _WRITES,
    "uncordon": _WRITES,
    "drain": (*_WRITES, Flag("ignore-daemonsets"), Flag("delete-emptydir-data")),
}

SUBVERBS: dict[str, tuple[str, ...]] = {
    "rollout": ("status", "history", "restart", "undo"),
    "auth": ("can-i",),
    "set": ("image", "resources", "env"),
}
"""Verbs of two words."""

WRITING = (
    "scale",
    "rollout restart",
    "rollout undo",
    "set image",
    "set resources",
    "set env",
    "delete",
    "cordon",
    "uncordon",
    "drain",
)

SYNONYMS = {"log": "logs", "event": "events"}

_RUNS_CODE = "nothing runs inside containers or nodes"
_OPENS = "no tunnels, proxies or sessions are opened"
_FREE_WRITE = "writes are taken only as typed changes: " + ", ".join(WRITING)

REFUSED_VERBS: dict[str, str] = {
    **dict.fromkeys(("exec", "cp", "debug", "run", "attach"), _RUNS_CODE),
    **dict.fromkeys(("port-forward", "proxy"), _OPENS),
    **dict.fromkeys(
        ("apply", "create", "replace", "patch", "edit", "label", "annotate", "expose", "autoscale", "taint", "certificate",
         "kustomize", "diff", "wait", "rollout pause", "rollout resume", "set selector", "set serviceaccount", "set subject"),
        _FREE_WRITE,
    ),
    **dict.fromkeys(("config", "plugin", "options", "completion", "alpha", "kuberc"), "there is no kubectl here to configure"),
    "auth reconcile": "rights are never changed from here",
    "auth whoami": "ask auth can-i VERB TYPE, or auth can-i --list",
    "cluster-info dump": "it writes everything, Secrets' neighbours included; ask for the objects you need",
    "explain": "ask in words, or api-resources",
    "api-versions": "ask api-resources",
}  # fmt: skip


def flags_of(verb: str) -> tuple[Flag, ...]:
    """What the verb takes, then what is refused everywhere."""
    own = FLAGS[verb]
    names = {flag.name for flag in own}
    shorts = {flag.short for flag in own if flag.short}
    return (*own, *(flag for flag in REFUSED if flag.name not in names and (not flag.short or flag.short not in shorts)))


def allowed(verb: str) -> str:
    """The verb's flags, for a message."""
    taken = [flag.spelled for flag in FLAGS[verb] if not flag.refused]
    return ", ".join(taken) or "none"
