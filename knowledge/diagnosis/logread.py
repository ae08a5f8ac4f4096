"""The view's logs, scanned once each, and the addresses that a workload's error lines name."""

from collections.abc import Iterator

from knowledge.diagnosis.addresses import Address
from knowledge.diagnosis.logs import Match, scan
from knowledge.diagnosis.view import ClusterView, Key

TROUBLE = ("dependency-unreachable", "upstream-errors", "authentication-failed", "certificate-invalid")


class LogReader:
    """Signature matches by container. Each log is scanned at most once."""

    def __init__(self, view: ClusterView) -> None:
        self._view = view
        self._scans: dict[tuple[Key, str, bool], list[Match]] = {}
        self._containers: dict[Key, list[str]] = {}
        for key in view.logs:
            names = self._containers.setdefault(Key("Pod", key.namespace, key.pod), [])
            if key.container not in names:
                names.append(key.container)

    def matches(self, pod: Key, container: str) -> Iterator[tuple[Match, bool]]:
        """(signature match, from the run before?): the current log first."""
        for previous in (False, True):
            found = self._scans.get((pod, container, previous))
            if found is None:
                log = self._view.log(pod, container, previous=previous)
                found = self._scans[pod, container, previous] = scan(log) if log else []
            for match in found:
                yield match, previous

    def named_in_trouble(self, pod: Key) -> Iterator[Address]:
        """Addresses in the lines that tell of failing calls."""
        for container in self._containers.get(pod, ()):
            for match, _ in self.matches(pod, container):
                if match.signature.code in TROUBLE:
                    yield from match.addresses
