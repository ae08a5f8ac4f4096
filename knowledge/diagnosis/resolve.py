"""Which objects a question means: names as people write them, in any case, without hash suffixes, with typos."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches

from knowledge.diagnosis.fields import strings
from knowledge.diagnosis.view import ClusterView, Key

KINDS = (
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "CronJob",
    "Job",
    "Service",
    "Pod",
    "Ingress",
    "PersistentVolumeClaim",
    "ConfigMap",
    "Namespace",
    "Node",
    "HorizontalPodAutoscaler",
    "Secret",
    "PersistentVolume",
    "ReplicaSet",
)
"""In the order in which a bare name is taken: "payments" is the Deployment before its Service."""

KIND_WORDS = {
    "deployment": "Deployment",
    "deployments": "Deployment",
    "deploy": "Deployment",
    "statefulset": "StatefulSet",
    "sts": "StatefulSet",
    "daemonset": "DaemonSet",
    "ds": "DaemonSet",
    "cronjob": "CronJob",
    "cj": "CronJob",
    "job": "Job",
    "service": "Service",
    "svc": "Service",
    "pod": "Pod",
    "pods": "Pod",
    "po": "Pod",
    "ingress": "Ingress",
    "ing": "Ingress",
    "persistentvolumeclaim": "PersistentVolumeClaim",
    "pvc": "PersistentVolumeClaim",
    "configmap": "ConfigMap",
    "cm": "ConfigMap",
    "namespace": "Namespace",
    "ns": "Namespace",
    "node": "Node",
    "nodes": "Node",
    "hpa": "HorizontalPodAutoscaler",
    "secret": "Secret",
    "pv": "PersistentVolume",
    "replicaset": "ReplicaSet",
    "rs": "ReplicaSet",
}

# Words of a question that are hardly ever meant as names; an exact match still wins.
_STOP_WORDS = """
a an and any are at be been broken by can cluster container containers crash crashing did do does down error
errors fail failing failed fix for from has have healthy how i in is it keep keeps me my not of off ok on or
our please problem restart restarting restarts running show slow so tell that the there this to up wants was
we what when where which who why with wrong you logs log status pending oom killed oomkilled crashloopbackoff
everything all namespace pod pods service deployment node nodes
alert alerting alerts fired fires firing
after again anyone anything app application apps before change changed customers deploy deployed few going got
happened happening image images just last latest many most nobody nothing now only other page requests rollout several
since some somebody someone something started starting still stopped stuck suddenly terminating these they those time
timeout timeouts times today traffic unavailable unhealthy unready users waiting went were will working yesterday
"""
_STOP = frozenset(_STOP_WORDS.split())
_WORD = re.compile(r"^[a-z0-9]([a-z0-9./_-]{0,251}[a-z0-9])?$")
_POD_HASH = re.compile(r"^(.+?)(?:-[a-z0-9]{8,10})?-[a-z0-9]{5}$")
_ORDINAL = re.compile(r"^(.+?)-[0-9]{1,4}$")
_OWNERS = ("Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job")
"""Of pods."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """`targets` best first; none and no `unknown` means the question names nothing in particular.

    `near` are names that come close to a word that was not found; `guessed` says that a typo was read as a name.
    """

    targets: tuple[Key, ...]
    near: tuple[str, ...] = ()
    unknown: str = ""
    guessed: str = ""


def resolve(view: ClusterView, words: Sequence[str], namespace: str | None = None, *, kind: str | None = None) -> Resolved:
    """Match each word to objects, exactly, then by label, prefix, pod name without its hashes, then by likeness.

    Objects of `namespace` are preferred, others are taken only if it has none. Several matches of one word come ranked.
    """
    index = _Index(view, namespace, kind)
    found: dict[Key, float] = {}
    missed: list[str] = []
    wanted: str | None = kind
    for raw in words[:40]:
        word = raw.strip().strip("\"'`?!,;:()[]{}<>").rstrip(".").lower()
        if word in KIND_WORDS and word not in index.exact:
            wanted = wanted or KIND_WORDS[word]
            continue
        if not _WORD.fullmatch(word):
            continue
        matches = index.find(word, wanted)
        if not matches and len(word) > 2 and word not in _STOP:
            missed.append(word)
        for key, score in matches:
            found[key] = max(found.get(key, 0.0), score)
    if found:
        return Resolved(_best(found))
    return _by_likeness(index, missed)


def _best(found: dict[Key, float]) -> tuple[Key, ...]:
    """The best match, and others that are as good; a namespace only when nothing in it was named."""
    ranked = sorted(found, key=lambda key: (-found[key], KINDS.index(key.kind) if key.kind in KINDS else 99, str(key)))
    concrete = [key for key in ranked if key.kind != "Namespace"] or ranked
    inside = {key.name for key in ranked if key.kind == "Namespace"}
    if inside and any(key.namespace in inside for key in concrete):
        concrete = [key for key in concrete if key.namespace in inside]
    elif inside and found[concrete[0]] < 1.0:
        concrete = [key for key in ranked if key.kind == "Namespace"]
    top = found[concrete[0]]
    return tuple(key for key in concrete if found[key] >= top - 0.05)[:5]


def _by_likeness(index: "_Index", missed: list[str]) -> Resolved:
    for word in missed:
        close = index.close(word)
        if close and SequenceMatcher(None, word, close[0]).ratio() >= 0.75:
            targets = _best(dict(index.find(close[0], None)))
            return Resolved(targets, near=tuple(close), guessed=f"{word} was read as {close[0]}")
    if not missed:
        return Resolved(())
    near = tuple(dict.fromkeys(name for word in missed for name in index.close(word, cutoff=0.5)))[:5]
    hint = f"; names that come near: {', '.join(near)}" if near else ""
    return Resolved((), near=near, unknown=f"nothing called {', '.join(missed[:3])} can be seen{hint}")


class _Index:
    """Names of the view, made once for a question."""

    def __init__(self, view: ClusterView, namespace: str | None, kind: str | None) -> None:
        self.view = view
        self.namespace = namespace
        self.exact: dict[str, list[Key]] = {}
        for one in KINDS:
            for key in view.of_kind(one):
                self.exact.setdefault(key.name.lower(), []).append(key)
        for name in view.namespaces:
            key = Key("Namespace", "", name)
            if key not in self.exact.setdefault(name, []):
                self.exact[name].append(key)
        self.kind = kind

    def find(self, word: str, wanted: str | None) -> list[tuple[Key, float]]:
        """Objects with their score: 1 exact, .9 by label, .85 a pod by its workload's name, .7 by prefix."""
        if "/" in word:
            return self._slashed(word)
        exact = self._near_by(self.exact.get(word, ()), wanted)
        if exact:
            return [(key, 1.0) for key in self._one_kind(exact, wanted)]
        if word in _STOP or len(word) < 3:
            return []
        labelled = self._near_by(self._labelled(word), wanted)
        if labelled:
            return [(key, 0.9) for key in self._one_kind(labelled, wanted)]
        stripped = _POD_HASH.fullmatch(word)
        if stripped:
            owner = self._near_by(self.exact.get(stripped[1], ()), None)
            if owner:
                return [(key, 0.85) for key in self._one_kind(owner, None)]
        starts = [
            key
            for name, keys in self.exact.items()
            if name.startswith(word)
            for key in keys
            if key.kind not in ("Pod", "ReplicaSet")
        ]
        starts = self._near_by(starts, wanted)
        return [(key, 0.7) for key in self._one_kind(starts, wanted)[:5]]

    def _slashed(self, word: str) -> list[tuple[Key, float]]:
        parts = word.split("/")
        kind = KIND_WORDS.get(parts[0])
        names = self.exact.get(parts[-1], ())
        if kind is not None:
            there = [(key, 1.0) for key in names if key.kind == kind and (len(parts) < 3 or key.namespace == parts[1])][:1]
            return there or (self._gone(parts) if kind == "Pod" else [])
        return [(key, 1.0) for key in self._one_kind([key for key in names if key.namespace == parts[0]], None)]

    def _gone(self, parts: list[str]) -> list[tuple[Key, float]]:
        """What a pod that is there no more belonged to, by its name: an alert names one that a roll-out has replaced since."""
        for form in (_POD_HASH, _ORDINAL):
            if named := form.fullmatch(parts[-1]):
                owners = [key for key in self.exact.get(named[1], ()) if key.kind in _OWNERS]
                inside = [key for key in owners if len(parts) < 3 or key.namespace == parts[1]]
                if inside:
                    return [(key, 0.85) for key in self._one_kind(self._near_by(inside, None), None)]
        return []

    def _near_by(self, keys: Iterable[Key], wanted: str | None) -> list[Key]:
        """Of the wanted kind where there are any, and of the preferred namespace where there are any."""
        found = list(keys)
        of_kind = [key for key in found if key.kind == wanted] if wanted else []
        found = of_kind or found
        here = [key for key in found if key.namespace == self.namespace] if self.namespace else []
        return here or [key for key in found if not self.namespace or not key.namespace or wanted == key.kind] or found

    def _one_kind(self, keys: list[Key], wanted: str | None) -> list[Key]:
        """A name that several kinds share means the first kind of KINDS, one per namespace."""
        if not keys:
            return []
        if wanted and any(key.kind == wanted for key in keys):
            return [key for key in keys if key.kind == wanted]
        best: dict[str, Key] = {}
        for key in sorted(keys, key=lambda key: KINDS.index(key.kind)):
            best.setdefault(key.namespace, key)
        return list(best.values())

    def _labelled(self, word: str) -> list[Key]:
        found: list[Key] = []
        for kind in ("Deployment", "StatefulSet", "DaemonSet", "CronJob", "Service"):
            for key, obj in self.view.of_kind(kind).items():
                labels = strings(obj, "metadata", "labels")
                if word in (labels.get("app"), labels.get("app.kubernetes.io/name"), labels.get("k8s-app")):
                    found.append(key)
        return found

    def close(self, word: str, *, cutoff: float = 0.7) -> list[str]:
        names = [name for name, keys in self.exact.items() if any(key.kind not in ("Pod", "ReplicaSet") for key in keys)]
        return get_close_matches(word, names, n=3, cutoff=cutoff)
