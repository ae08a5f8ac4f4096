"""Alertmanager's webhook (version 4) read into Reports. Pure. What is not known is ignored, what is too much is left out and
counted; only what can't be understood at all is refused, because Alertmanager never sends that again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from control_plane.alerts.values import Alert, Report, State, severity_of
from control_plane.errors import Invalid
from protocol.canonical import sha256_hex
from protocol.redaction import redact_tree
from protocol.text import cap, clean, one_line

MOST_ALERTS = 200
"""Of one POST; the rest is left out and counted. Alertmanager's own `max_alerts` says the same to it."""
MOST_LABELS = 64
NAME_CHARS, VALUE_CHARS, TEXT_CHARS = 100, 300, 2_000
_YEAR_ONE = datetime(1, 1, 2, tzinfo=UTC)
"""Alertmanager's zero time stands for "not ended"."""


@dataclass(frozen=True, slots=True)
class Read:
    reports: tuple[Report, ...]
    left_out: int
    """Alerts that were told and not taken: too many, without time or label, or of a cluster that is not here."""
    unknown_clusters: tuple[str, ...] = ()


def alertmanager(payload: object, *, cluster: str | None, clusters: Mapping[str, str]) -> Read:
    """`cluster`: the id that the token stands for; None: each alert's label `cluster` names it. `clusters`: ids by name and by
    id. Raises Invalid."""
    body = _object(payload, "the body")
    version = body.get("version", "4")
    if str(version) != "4":
        raise Invalid(f"this is version {one_line(str(version), 20)!r} of Alertmanager's webhook; only version 4 is taken")
    key = body.get("groupKey")
    if not isinstance(key, str) or not key:
        raise Invalid("groupKey is missing: this does not come from Alertmanager's webhook")
    told = body.get("alerts")
    if not isinstance(told, list):
        raise Invalid("alerts is missing, or no list")
    listed = cast(list[object], told)
    common = labels_of(body.get("commonLabels"))
    parsed: dict[str, list[Alert]] = {}
    unknown: dict[str, None] = {}
    taken = 0
    for item in listed[:MOST_ALERTS]:
        alert = _alert(item, common)
        name = alert.labels.get("cluster", "") if alert is not None else ""
        where = cluster or clusters.get(name)
        if where is None and alert is not None:
            unknown[name] = None
        if alert is not None and where is not None:
            taken += 1
            parsed.setdefault(where, []).append(alert)
    truncated = body.get("truncatedAlerts")
    cut = truncated if isinstance(truncated, int) and truncated > 0 else 0
    more_firing = body.get("status") == "firing" and (cut > 0 or len(listed) > MOST_ALERTS)
    reports = tuple(_report(key, where, alerts, common, more_firing) for where, alerts in parsed.items())
    return Read(reports, len(listed) - taken + cut, tuple(unknown))


def labels_of(value: object, *, chars: int = VALUE_CHARS) -> dict[str, str]:
    """Cleaned, redacted by their names and by what they say, capped."""
    if not isinstance(value, Mapping):
        return {}
    plain: dict[str, str] = {}
    for name, said in sorted(cast(Mapping[object, object], value).items(), key=lambda pair: str(pair[0])):
        if len(plain) == MOST_LABELS:
            break
        if isinstance(said, str | int | float) and (shown := one_line(str(name), NAME_CHARS)):
            plain[shown] = clean(cap(str(said), 4 * chars))
    redacted = cast(dict[str, str], redact_tree(plain)[0])
    fold = chars == VALUE_CHARS
    return {name: one_line(said, chars) if fold else cap(said, chars) for name, said in redacted.items()}


def title_of(alerts: Sequence[Alert], common: Mapping[str, str]) -> str:
    """The alerts' name where they have one, else the first names."""
    names = tuple(dict.fromkeys(alert.name for alert in alerts))
    if common.get("alertname"):
        return one_line(common["alertname"], 300)
    more = f" (+{len(names) - 3})" if len(names) > 3 else ""
    return one_line(", ".join(names[:3]) + more, 300) or "alert"


def _report(key: str, cluster: str, alerts: list[Alert], common: Mapping[str, str], more_firing: bool) -> Report:
    return Report(
        source="alertmanager",
        key=key,
        cluster=cluster,
        labels=dict(common),
        title=title_of(alerts, common),
        alerts=tuple(alerts),
        more_firing=more_firing,
    )


def _alert(item: object, common: Mapping[str, str]) -> Alert | None:
    """None for one that says neither when it began nor what it is."""
    if not isinstance(item, Mapping):
        return None
    told = cast(Mapping[str, Any], item)
    labels = labels_of(told.get("labels")) or dict(common)
    starts, ends = _time(told.get("startsAt")), _time(told.get("endsAt"))
    if starts is None or not labels:
        return None
    state: State = "resolved" if told.get("status") == "resolved" else "firing"
    given = told.get("fingerprint")
    fingerprint = given if isinstance(given, str) and given.isascii() and given.isalnum() and len(given) <= 64 else ""
    return Alert(
        fingerprint=fingerprint or sha256_hex(repr(sorted(labels.items())).encode()),
        state=state,
        name=one_line(labels.get("alertname", "alert"), 200),
        severity=severity_of(labels),
        namespace=_namespace(labels),
        labels=labels,
        annotations=labels_of(told.get("annotations"), chars=TEXT_CHARS),
        starts_at=starts,
        ends_at=ends if state == "resolved" else None,
    )


def _namespace(labels: Mapping[str, str]) -> str:
    """Only what can be a namespace; `exported_namespace` is what the object itself said where the scrape's label won."""
    said = labels.get("exported_namespace") or labels.get("namespace", "")
    plain = said.replace("-", "")
    return said if said and len(said) <= 63 and plain.isascii() and plain.isalnum() and said == said.lower() else ""


def _time(value: object) -> datetime | None:
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        at = datetime.fromisoformat(value)
        at = at.astimezone(UTC) if at.tzinfo is not None else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return at if at > _YEAR_ONE else None


def _object(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise Invalid(f"{what} is no JSON object as Alertmanager's webhook sends")
    return cast(Mapping[str, object], value)
