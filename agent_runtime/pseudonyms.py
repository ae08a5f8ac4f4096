"""Pseudonyms for names of objects: what a model reads and writes holds none of a cluster's names, people see them as they are.

Namespaces, workloads, pods, nodes, services, hosts and addresses get a word of their own such as `app-k3q7x2a`. It is a keyed
digest of the name, so that it is the same in the whole conversation and on every replica, nothing of it is stored, and it
can be turned back only here: whatever was hidden on the way out is remembered for the way in. A pod keeps the part that its
owner made up (`app-k3q7x2a-7c9d-x2k4p`). Kubernetes' own words, kinds, catalogue codes and system namespaces stay, also where
an object is called by one of them.
"""

import hashlib
import hmac
import re
from base64 import b32encode
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, Protocol

from agent_runtime.plain_words import is_plain

Kind = Literal["ns", "app", "node", "host", "ip", "obj"]

_ALIAS = re.compile(r"(?:ns|app|node|host|ip|obj)-[a-z2-7]{7,}", re.IGNORECASE)
_DIGITS = 7
_MOST_HELD = 300
"""Characters at the end of a stream's piece that may be part of one word, with a pseudonym in it; no name is longer."""
_ANYWHERE = 4
"""A name this long is hidden inside of longer words too; a shorter one only as a word of its own."""
_REMEMBERED = 400
"""Texts whose hidden form is kept: each request holds those of the one before."""

_V4 = r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])"
_V6 = (
    r"(?<![:\w])(?:(?:[0-9a-f]{1,4}:){5,7}[0-9a-f]{1,4}|"
    r"(?:[0-9a-f]{1,4}:){1,6}:(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,5})?)(?![:\w])"
)
_ENDINGS = (
    "com|net|org|io|dev|sh|ai|cloud|internal|intranet|local|lan|corp|home|example|invalid|"
    "de|fr|uk|us|eu|jp|cn|nl|ch|at|se|pl|it|es|br|au|ca|kr|sg|ru|co|me|in|info|biz|tech|xyz|"
    "be|cz|dk|fi|gr|hk|ie|mx|nz|pt|tr|tw|za"
)
_HOST = rf"(?<![\w.-])(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+(?:{_ENDINGS})(?![\w-]|\.\w)"
_URL_HOST = r"(?<=://)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?"
_RIM = re.compile(f"(?P<ip>{_V4}|{_V6})|(?P<host>{_HOST}|{_URL_HOST})", re.IGNORECASE)
_PUBLIC = re.compile(
    r"(?:^|\.)(?:kubernetes\.io|k8s\.io|docker\.io|docker\.com|ghcr\.io|quay\.io|gcr\.io|pkg\.dev|prometheus\.io|helm\.sh|"
    r"argoproj\.io|fluxcd\.io|toolkit\.fluxcd\.io|cert-manager\.io|istio\.io|opencontainers\.org|github\.com|cluster\.local)$",
    re.IGNORECASE,
)
_NOBODY = frozenset({"localhost", "127.0.0.1", "0.0.0.0", "::1", "255.255.255.255"})

KEPT_NAMESPACES = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
"""Of every cluster, so they say nothing; the list of plain words has them too."""

_NAME = r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?"
_LABEL = r"[a-z0-9-]{1,63}"
_OF_A_SERVICE = r"\.svc(?![\w-])"
_TOLD: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("ns", re.compile(rf"\b[A-Z][A-Za-z]+/({_NAME})/{_NAME}")),
    ("node", re.compile(rf"\bNode//({_NAME})")),
    ("app", re.compile(rf"\b[A-Z][A-Za-z]+/(?:{_NAME})?/({_NAME})")),
    ("ns", re.compile(rf"(?:(?<!\w)-n |--namespace[= ]|\b[Nn]amespaces?[:=]\s*\"?)({_NAME})")),
    ("obj", re.compile(rf"\b(?:secretName|claimName|serviceAccountName):\s*\"?({_NAME})")),
    ("node", re.compile(rf"\b(?:Node:\s+|nodes?/|nodeName: |assigned \S+ to )({_NAME})")),
    (
        "app",
        re.compile(rf"\b(?:deploy|deployment\.apps|deployment|statefulset|sts|daemonset|job|cronjob|svc|service|cm)/({_NAME})"),
    ),
    ("ns", re.compile(rf"(?<=\.)({_LABEL}){_OF_A_SERVICE}", re.IGNORECASE)),
    ("app", re.compile(rf"(?<![\w-])({_LABEL})\.{_LABEL}{_OF_A_SERVICE}", re.IGNORECASE)),
    ("app", re.compile(rf"(?<![\w-])({_LABEL})\.{_LABEL}\.{_LABEL}{_OF_A_SERVICE}", re.IGNORECASE)),
    (
        "obj",
        re.compile(
            r"\b(?:configmap|secret|service|persistentvolumeclaim|serviceaccount|pod|namespace|storageclass)s?"
            rf"(?:\.[\w.]+)? \"({_NAME})\""
        ),
    ),
)
"""Names that a text itself tells of: of objects that are not there, or that a list was too early for."""


class Reveal(Protocol):
    """Text of a stream on its way to people."""

    def feed(self, piece: str, /) -> None: ...
    def end(self) -> None: ...


class Names(Protocol):
    """How names of objects stand in what a model reads and writes."""

    def learn(self, text: str) -> None:
        """Take in what names a text tells of, before any text that goes out with it is hidden."""
        ...

    def hide(self, text: str) -> str: ...
    def reveal(self, text: str) -> str: ...
    def stream(self, shown: Callable[[str], None]) -> Reveal: ...


class Pseudonyms:
    """Of one turn. `key` is the conversation's own; `names` are the cluster's known ones."""

    def __init__(self, key: bytes, names: Mapping[str, Kind]) -> None:
        self._key = key
        self._kinds: dict[str, Kind] = {}
        self._back: dict[str, str] = {}
        self._done: dict[str, str] = {}
        for name, kind in names.items():
            self._learn(name, kind)

    def learn(self, text: str) -> None:
        self._learn_from(text)

    def hide(self, text: str) -> str:
        """The text with a pseudonym for every name in it."""
        done = self._done.get(text)
        if done is None:
            self._learn_from(text)
            done = self._hidden(text)
            if len(self._done) >= _REMEMBERED:
                self._done.clear()
            self._done[text] = done
        return done

    def reveal(self, text: str) -> str:
        """The text with the names that were hidden; what was never given out stays as it is."""
        return _ALIAS.sub(lambda found: self._name_of(found.group()), text)

    def stream(self, shown: Callable[[str], None]) -> Reveal:
        return _Revealing(self.reveal, shown)

    def _learn(self, name: str, kind: Kind) -> None:
        folded = name.strip().lower()
        if folded in KEPT_NAMESPACES:
            return
        if len(folded) > 1 and not folded.isdigit() and not is_plain(folded) and folded not in self._kinds:
            self._kinds[folded] = kind
            self._done.clear()

    def _learn_from(self, text: str) -> None:
        for kind, pattern in _TOLD:
            for found in pattern.finditer(text):
                name = found.group(1)
                if not _ALIAS.search(name) and self._unmade(name) not in self._kinds:
                    self._learn(name, kind)

    def _unmade(self, name: str) -> str:
        """The part of a pod's name that its owner has, where the owner is known."""
        parts = name.lower().split("-")
        return next(
            (owner for cut in range(len(parts), 0, -1) if (owner := "-".join(parts[:cut])) in self._kinds), name.lower()
        )

    def _hidden(self, text: str) -> str:
        out, at = list[str](), 0
        for found in _RIM.finditer(text):
            whole, kind = found.group(), "ip" if found.group("ip") else "host"
            if kind == "host" and self._is_ours_or_public(whole.lower()):
                continue
            if whole in _NOBODY:
                continue
            out += [self._names_in(text[at : found.start()]), self._alias(whole, kind)]
            at = found.end()
        return "".join([*out, self._names_in(text[at:])])

    def _is_ours_or_public(self, host: str) -> bool:
        """A Service's address is made of names, which are hidden by themselves; a public registry says nothing."""
        if _PUBLIC.search(host) or host.endswith(".svc"):
            return True
        return all(label in KEPT_NAMESPACES or self._unmade(label) in self._kinds for label in host.split("."))

    def _names_in(self, text: str) -> str:
        folded = _dashed(text)
        # A search for each name is C's; a pattern of thousands of names would be tried at each character.
        here = sorted((name for name in self._kinds if name in folded), key=len, reverse=True)
        if not here:
            return text
        pattern = re.compile("|".join(map(_pattern, here)), re.IGNORECASE)
        return pattern.sub(lambda found: self._instead(text, found), text)

    def _instead(self, text: str, found: "re.Match[str]") -> str:
        form = found.group()
        if is_plain(_word_around(text, found.start(), found.end()).lower()):
            return form
        return self._alias(form, self._kinds.get(_dashed(form), "obj"))

    def _alias(self, form: str, kind: Kind) -> str:
        digest = b32encode(hmac.digest(self._key, form.encode(), hashlib.sha256)).decode().lower()
        for size in range(_DIGITS, len(digest)):
            alias = f"{kind}-{digest[:size]}"
            if self._back.setdefault(alias, form) == form:
                return alias
        raise ValueError("two names have the same digest")

    def _name_of(self, alias: str) -> str:
        """A model may go on writing after a pseudonym without a break, or write it in capitals."""
        folded = alias.lower()
        for size in range(len(folded), 0, -1):
            if folded[:size] in self._back:
                return self._back[folded[:size]] + alias[size:]
        return alias


class _Revealing:
    """Holds back what may be the beginning of a pseudonym until it is whole."""

    def __init__(self, reveal: Callable[[str], str], shown: Callable[[str], None]) -> None:
        self._reveal = reveal
        self._shown = shown
        self._held = ""

    def feed(self, piece: str, /) -> None:
        text = self._held + piece
        cut = len(text)
        while cut > max(0, len(text) - _MOST_HELD) and (text[cut - 1].isalnum() or text[cut - 1] == "-"):
            cut -= 1
        self._held = text[cut:]
        if cut:
            self._shown(self._reveal(text[:cut]))

    def end(self) -> None:
        held, self._held = self._held, ""
        if held:
            self._shown(self._reveal(held))


class _Through:
    def __init__(self, shown: Callable[[str], None]) -> None:
        self._shown = shown

    def feed(self, piece: str, /) -> None:
        self._shown(piece)

    def end(self) -> None:
        return None


class _Plain:
    def learn(self, text: str) -> None:
        del text

    def hide(self, text: str) -> str:
        return text

    def reveal(self, text: str) -> str:
        return text

    def stream(self, shown: Callable[[str], None]) -> Reveal:
        return _Through(shown)


PLAIN: Names = _Plain()
"""Names as they are."""


def known_names(listed: Iterable[str], namespaces: Iterable[str], others: Iterable[str] = ()) -> dict[str, Kind]:
    """From lines of `kubectl get … -o name`. Pods and ReplicaSets of known owners go by their owners' names."""
    names: dict[str, Kind] = dict.fromkeys(namespaces, "ns")
    made: list[str] = []
    for line in listed:
        kind, _, name = line.strip().partition("/")
        if not name:
            continue
        if kind in ("pod", "replicaset.apps"):
            made.append(name)
        else:
            names.setdefault(name, "ns" if kind == "namespace" else "node" if kind == "node" else "app")
    for name in made:
        parts = name.split("-")
        if not any("-".join(parts[:cut]) in names for cut in range(len(parts), 0, -1)):
            names.setdefault(name, "app")
    for name in others:
        names.setdefault(name, "obj")
    return names


def conversation_key(secret: bytes, conversation: str) -> bytes:
    """The same on all replicas, which share the secret."""
    return hmac.digest(secret, f"pseudonyms:{conversation}".encode(), hashlib.sha256)


def _pattern(name: str) -> str:
    escaped = re.escape(name).replace(r"\-", "[-_]")
    return escaped if len(name) >= _ANYWHERE else rf"(?<![A-Za-z0-9]){escaped}(?![A-Za-z0-9])"


def _dashed(text: str) -> str:
    """As names are written; variables of the environment have them in capitals, with underscores."""
    return text.lower().replace("_", "-")


def _word_around(text: str, start: int, end: int) -> str:
    """The run of letters and digits that a match is a part of."""
    while start > 0 and text[start - 1].isalnum() and text[start - 1].isascii():
        start -= 1
    while end < len(text) and text[end].isalnum() and text[end].isascii():
        end += 1
    return text[start:end]
