"""Is there anything left to heal? A row for what a fresh look may say; only one of them stops an approved plan."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent_runtime.actions.recheck import CALM, healed, to_heal
from control_plane.approvals import Approval
from knowledge.wording import Language, translate
from protocol.diagnosis import Diagnosis, Finding, RootCause, Severity
from protocol.events import DiagnosisMade, LogEntry, UserMessage
from protocol.objects import ObjectRef
from tests.unit.agent_runtime.test_recheck import BODY, approval

PROPOSED = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOW = PROPOSED + timedelta(minutes=10)
WEB = BODY.action.target
CONFIG = ObjectRef.parse("ConfigMap/shop/web-config")
CAUSE = RootCause(code="crash-on-start", object=CONFIG, explanation="it ends", confidence=0.9)
SYMPTOM = Finding(code="not-ready", object=WEB, severity=Severity.HIGH, title="not ready")


def well(since: datetime | None, **more: Any) -> Diagnosis:
    fields: dict[str, Any] = {"summary": "", "healthy": True, "steady_since": since, "checked": (str(WEB), "2 pods")}
    return Diagnosis(**(fields | more))


FIVE = NOW - timedelta(minutes=5)
ROWS: dict[str, tuple[Diagnosis | None, bool]] = {
    "well for five minutes": (well(FIVE), True),
    "well for exactly as long as it takes": (well(NOW - CALM), True),
    "no answer": (None, False),
    "well for a moment less": (well(NOW - CALM + timedelta(seconds=1)), False),
    "crashed a minute ago, runs now": (well(NOW - timedelta(minutes=1)), False),
    "well, since nobody knows when": (well(None), False),
    "as steady as when it was proposed": (well(PROPOSED), False),
    "steady for days": (well(PROPOSED - timedelta(days=6)), False),
    "not healthy": (well(FIVE, healthy=False), False),
    "a cause": (well(FIVE, root_causes=(CAUSE,)), False),
    "a symptom": (well(FIVE, symptoms=(SYMPTOM,)), False),
    "something of a like name": (well(FIVE, checked=("Deployment/shop/web-2",)), False),
    "a clock ahead of ours": (well(NOW + timedelta(minutes=1)), False),
}


@pytest.mark.parametrize(("found", "stops"), ROWS.values(), ids=ROWS.keys())
def test_only_what_is_well_since_and_for_long_enough_stops_it(found: Diagnosis | None, stops: bool) -> None:
    assert bool(healed(WEB, found, proposed_at=PROPOSED, now=NOW)) == stops


def test_the_calm_is_longer_than_kubelets_wait_after_the_fifth_crash() -> None:
    assert timedelta(seconds=160) < CALM < timedelta(minutes=5), "and shorter than approvals of high risk live"


def test_it_says_what_was_seen_and_when_that_nothing_changed_and_what_to_do() -> None:
    said = f"It was not run: {healed(WEB, well(FIVE), proposed_at=PROPOSED, now=NOW)}."
    assert said == (
        "It was not run: Deployment/shop/web became healthy without it: no restart and no warning since 12:05:00 UTC, looked "
        "at 12:10:00 UTC; nothing was changed, propose again if it comes back."
    )
    told: dict[Language, tuple[str, str]] = {"zh": ("未做任何变更", "重新提出"), "ja": ("何も変更していません", "もう一度提案")}
    for language, words in told.items():
        there = translate(said, language)
        assert all(word in there for word in (*words, "Deployment/shop/web", "12:05:00", "12:10:00"))
        assert "became" not in there


def entry(event: Any) -> LogEntry:
    return LogEntry(conversation="c", seq=1, at=PROPOSED, event=event)


def made(*causes: RootCause) -> LogEntry:
    found = Diagnosis(summary="", healthy=False, root_causes=causes)
    return entry(DiagnosisMade(stage="rules", diagnosis=found))


ASKED = entry(UserMessage(text="restart web", door="web", by="ann", by_name="Ann", language="en"))
OTHER = RootCause(code="image-tag-not-found", object=WEB, explanation="no such tag", confidence=0.9)
CODED = approval(case_code="crash-on-start")


@pytest.mark.parametrize(
    ("wanted", "entries", "about"),
    [
        (CODED, (ASKED, made(CAUSE)), (CONFIG, WEB)),
        (CODED, (made(CAUSE), made(OTHER)), (CONFIG, WEB)),
        (approval(case_code="image-tag-not-found"), (made(CAUSE, OTHER),), (WEB,)),
        # A person's own wish: no code, or one that nothing in the turn bears out.
        (approval(), (ASKED, made(CAUSE)), ()),
        (CODED, (ASKED,), ()),
        (CODED, (made(OTHER),), ()),
        (CODED, (made(),), ()),
    ],
)
def test_what_is_to_heal_is_what_a_diagnosis_of_its_turn_named(
    wanted: Approval, entries: tuple[LogEntry, ...], about: tuple[ObjectRef, ...]
) -> None:
    assert to_heal(wanted, entries) == about
