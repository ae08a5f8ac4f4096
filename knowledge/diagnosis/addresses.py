"""Host names in configuration, commands and logs, and which object of the cluster each one means.

Linear in the input; a host is taken only if it is a valid DNS name, whatever stands around it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from knowledge.diagnosis.view import ClusterView, Key

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{1,20}://(?:[^\s/@\"'<>]{0,200}@)?([A-Za-z0-9][A-Za-z0-9.-]{0,252})(?::(\d{1,5}))?")
_HOST_PORT = re.compile(r"(?<![\w./@:-])([a-zA-Z][A-Za-z0-9.-]{0,252}):(\d{2,5})(?![\w:.])")
_IP_PORT = re.compile(r"(?<![\w.:-])(\d{1,3}(?:\.\d{1,3}){3}):(\d{2,5})(?![\w:.])")
_CLUSTER_NAME = re.compile(r"(?<![\w.@-])([a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,2}\.svc(?:\.cluster\.local)?)\.?(?![\w-])")
_BARE = re.compile(r"^[a-z][a-z0-9-]{0,62}(?:\.[a-z0-9-]{1,63}){0,5}\.?$")
_HOST_VARIABLE = re.compile(
    r"(?:^|[_.-])(HOST|HOSTNAME|URL|URI|ADDR|ADDRESS|ENDPOINT|SERVER|SERVERS|DSN|BROKERS?|UPSTREAM)$", re.IGNORECASE
)
_LABEL = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")

_NOT_A_SERVICE = frozenset(
    {"localhost", "kubernetes", "host", "http", "https", "error", "warning", "info", "time", "line", "port", "null"}
)


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int | None = None


def addresses_in_value(name: str, value: str) -> Iterator[Address]:
    """Addresses in a setting: URLs, host:port, cluster names; a bare word only where the setting's name says host."""
    value = value[:4000]
    seen: set[str] = set()
    for address in _explicit(value):
        if address.host not in seen:
            seen.add(address.host)
            yield address
    if not seen and _HOST_VARIABLE.search(name) and _BARE.fullmatch(value.strip()):
        yield Address(value.strip().rstrip("."))


def addresses_in_text(line: str) -> Iterator[Address]:
    """Addresses in a command or a log line."""
    seen: set[str] = set()
    for address in _explicit(line[:4000]):
        if address.host not in seen:
            seen.add(address.host)
            yield address


def _explicit(text: str) -> Iterator[Address]:
    if "://" in text:
        for match in _URL.finditer(text):
            yield Address(match[1].lower().rstrip("."), int(match[2]) if match[2] else None)
    for match in _HOST_PORT.finditer(text):
        yield Address(match[1].lower().rstrip("."), int(match[2]))
    for match in _IP_PORT.finditer(text):
        yield Address(match[1], int(match[2]))
    if ".svc" in text:
        for match in _CLUSTER_NAME.finditer(text):
            yield Address(match[1].lower())


def service_of(view: ClusterView, host: str, namespace: str) -> Key | None:
    """The Service, existing or not, that `host` means when used in `namespace`; None for names outside the cluster."""
    labels = host.rstrip(".").removesuffix(".cluster.local").split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        return None
    if labels[-1] == "svc" and len(labels) >= 3:
        return Key("Service", labels[-2], labels[-3])
    if len(labels) == 1:
        if labels[0] in _NOT_A_SERVICE or labels[0].isdigit():
            return None
        return Key("Service", namespace, labels[0])
    if len(labels) == 2:
        if view.has("Service", namespace, labels[1]):  # a StatefulSet's pod: db-0.db
            return Key("Service", namespace, labels[1])
        if labels[1] in view.namespaces:
            return Key("Service", labels[1], labels[0])
    if len(labels) == 3 and labels[2] in view.namespaces and view.has("Service", labels[2], labels[1]):
        return Key("Service", labels[2], labels[1])
    return None


def near_service(view: ClusterView, missing: Key) -> Key | None:
    """The existing Service that a wrong name most likely means: same namespace first, then the name elsewhere."""
    here = view.names("Service", missing.namespace)
    stems = [name for name in here if missing.name.startswith(f"{name}-") or name.startswith(f"{missing.name}-")]
    if stems:
        return Key("Service", missing.namespace, max(stems, key=len))
    close = get_close_matches(missing.name, here, n=1, cutoff=0.6)
    if close:
        return Key("Service", missing.namespace, close[0])
    for namespace in sorted(view.namespaces):
        if view.has("Service", namespace, missing.name):
            return Key("Service", namespace, missing.name)
    return None
