"""The message of an alert group: what fires, since when, who has it in hand. The thread under it holds the diagnosis. The same
message is shown anew as alerts join, repeat and resolve. All names, labels and annotations are somebody else's text."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from bot.slack import mrkdwn
from bot.slack.blocks.answer import OPEN_WEB
from bot.slack.blocks.limits import LIMITS, Block, fit
from bot.slack.blocks.parts import Message, actions, button, context, header, option, overflow, section
from bot.slack.blocks.rich import Piece, code, listed, our_link, paragraph, prose, quoted, rich, text, when
from bot.slack.mrkdwn import line
from bot.slack.words import Language, say, say_or, told

ACKNOWLEDGE, UNACKNOWLEDGE = "alert_acknowledge", "alert_unacknowledge"
SILENCE, WRONG, FOLLOW, UNFOLLOW = "alert_silence", "alert_wrong", "alert_follow", "alert_unfollow"
Silence = Literal["1h", "4h", "resolved", "off"]
SILENCES: tuple[Silence, ...] = ("1h", "4h", "resolved")
Value = Callable[[str], str]
"""What an action of this message carries: opaque here. At most 140 characters, as a menu's option takes no more."""

SHOWN = 10
"""Alerts that the message lists; the rest is counted."""
LABELS = 12
_SEVERITIES = {"critical": ":red_circle:", "warning": ":large_orange_circle:", "info": ":large_blue_circle:"}


@dataclass(frozen=True, slots=True)
class AlertLine:
    """One alert of a group."""

    name: str
    state: str
    """firing, resolved."""
    severity: str
    starts_at: datetime
    ends_at: datetime | None = None
    namespace: str = ""
    summary: str = ""
    """Its annotation `summary`, or `description`."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """What it does not have in common with the others."""
    fired: int = 1
    """How often it has started."""


@dataclass(frozen=True, slots=True)
class AlertView:
    """A row of alert_groups with its alerts, as a message shows it."""

    id: str
    title: str
    severity: str
    """critical, warning, info; others are shown without a colour."""
    state: str
    """firing, resolved."""
    cluster_name: str
    opened_at: datetime
    updated_at: datetime
    namespace: str = ""
    """"" when its alerts are of several, or of none."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """What its alerts have in common."""
    firing: int = 0
    resolved: int = 0
    """How many alerts there are in each state, whether listed in `alerts` or not."""
    alerts: tuple[AlertLine, ...] = ()
    resolved_at: datetime | None = None
    acknowledged_by_name: str = ""
    acknowledged_at: datetime | None = None
    silenced_by_name: str = ""
    silenced_until: datetime | None = None
    silenced_until_resolved: bool = False
    wrong_by_name: str = ""
    wrong_reason: str = ""
    wrong_at: datetime | None = None
    source: str = ""
    """alertmanager, watch."""
    cause: str = ""
    """What the thread's diagnosis said, in a sentence; "" while there is none."""
    following: bool = False
    """The bot answers in the thread without being mentioned."""

    @property
    def silenced(self) -> bool:
        return bool(self.silenced_by_name) and (self.silenced_until is not None or self.silenced_until_resolved)


def alert(view: AlertView, *, language: Language, url: str, value: Value) -> Message:
    """The group in its state, one message. `url` is the conversation's page, "" while there is none."""
    blocks = [
        header(view.title or say(language, "alert.untitled")),
        section(_headline(view, language)),
        *([rich(quoted(*prose(view.cause, 900)))] if view.cause else []),
        *_labels(view, language),
        *_alerts(view, language),
        *_marks(view, language),
    ]
    rest = context(line(say(language, "rest_on_web")))
    return Message(_fallback(view, language), fit(blocks, rest=rest, tail=_buttons(view, language, url, value), most=1)[0])


def digest(
    views: Sequence[AlertView], *, language: Language, url: Callable[[AlertView], str], minutes: int = 60
) -> tuple[Message, ...]:
    """Groups that came too many at once for a thread each: a line a group, firing first, the worst first. `url` gives a group's
    page, or ""."""
    said = say(language, "alert.digest", n=len(views), minutes=minutes)
    blocks = [header(said), *([rich(listed([_row(view, language, url(view)) for view in ranked(views)]))] if views else [])]
    rest = context(line(say(language, "rest_on_web")))
    return tuple(Message(line(said), part) for part in fit(blocks, rest=rest))


def ranked(views: Sequence[AlertView]) -> list[AlertView]:
    order = list(_SEVERITIES)

    def place(view: AlertView) -> tuple[bool, int, float]:
        severity = order.index(view.severity) if view.severity in order else len(order)
        return (view.state == "resolved", severity, -view.opened_at.timestamp())

    return sorted(views, key=place)


def read_silence(value: str) -> tuple[Silence, str] | None:
    """What was chosen in the silence menu, and what `value` gave for it; None for what this code did not make."""
    chosen, _, rest = value.partition(" ")
    for known in (*SILENCES, "off"):
        if chosen == known:
            return known, rest
    return None


def _headline(view: AlertView, language: Language) -> str:
    mark = ":large_green_circle:" if view.state == "resolved" else _SEVERITIES.get(view.severity, ":white_circle:")
    where = f"{view.cluster_name} / {view.namespace}" if view.namespace else view.cluster_name
    parts = [
        f"{mark} *{line(say_or(language, f'alert.state.{view.state}', view.state))}*",
        line(say_or(language, f"alert.severity.{view.severity}", view.severity), 60),
        line(where),
        line(say(language, "alert.counts", firing=view.firing, resolved=view.resolved)),
        line(say(language, "alert.since", when="{when}")).replace("{when}", _date(view.opened_at)),
    ]
    if view.resolved_at and view.state == "resolved":
        parts.append(line(say(language, "alert.resolved_at", when="{when}")).replace("{when}", _date(view.resolved_at)))
    return " · ".join(parts)


def _labels(view: AlertView, language: Language) -> Iterator[Block]:
    if not view.labels:
        return
    shown = list(view.labels.items())[:LABELS]
    said = " ".join(mrkdwn.code(f"{name}={value}", 200) for name, value in shown)
    more = len(view.labels) - len(shown)
    yield context(f"{said} {line(say(language, 'diagnosis.more', n=more))}" if more > 0 else said)


def _alerts(view: AlertView, language: Language) -> Iterator[Block]:
    listed_first = sorted(view.alerts, key=lambda one: (one.state == "resolved", -one.starts_at.timestamp()))[:SHOWN]
    if not listed_first:
        return
    more = view.firing + view.resolved - len(listed_first)
    tail = [paragraph(text(say(language, "diagnosis.more", n=more), italic=True))] if more > 0 else []
    yield rich(listed([_alert(one, language) for one in listed_first]), *tail)


def _alert(one: AlertLine, language: Language) -> list[Piece]:
    state = say_or(language, f"alert.state.{one.state}", one.state)
    pieces: list[Piece] = [code(one.name, 200), *prose(f" · {state} · ", 100), when(one.ends_at or one.starts_at)]
    if one.fired > 1:
        pieces.append(text(f" · {say(language, 'alert.fired', n=one.fired)}"))
    for name, value in list(one.labels.items())[:6]:
        pieces += [text(" "), code(f"{name}={value}", 120)]
    if one.summary:
        pieces += [text("\n"), *prose(one.summary, 400)]
    return pieces


def _marks(view: AlertView, language: Language) -> Iterator[Block]:
    marks: list[str] = []
    if view.acknowledged_by_name:
        marks.append(f":eyes: {_told('alert.acknowledged', language, view.acknowledged_by_name, view.acknowledged_at)}")
    if view.silenced:
        key = "alert.silenced_until_resolved" if view.silenced_until_resolved else "alert.silenced"
        marks.append(f":no_bell: {_told(key, language, view.silenced_by_name, view.silenced_until)}")
    if view.wrong_by_name:
        reason = f" · {line(view.wrong_reason, 600)}" if view.wrong_reason else ""
        marks.append(f":x: {_told('alert.wrong', language, view.wrong_by_name, view.wrong_at)}{reason}")
    if marks:
        yield context(*marks)


def _told(key: str, language: Language, name: str, at: datetime | None) -> str:
    said = line(say(language, key, name="{name}", when="{when}"))
    return said.replace("{when}", _date(at) if at else "").replace("{name}", line(name, 100)).strip()


def _buttons(view: AlertView, language: Language, url: str, value: Value) -> list[Block]:
    made: list[Block] = []
    if view.state != "resolved":
        action = UNACKNOWLEDGE if view.acknowledged_by_name else ACKNOWLEDGE
        style = "" if view.acknowledged_by_name else "primary"
        made.append(button(say(language, f"alert.do.{action}"), action, value=value(action), style=style))
    if not view.wrong_by_name:
        made.append(button(say(language, "alert.do.alert_wrong"), WRONG, value=value(WRONG)))
    follow = UNFOLLOW if view.following else FOLLOW
    made.append(button(say(language, f"alert.do.{follow}"), follow, value=value(follow)))
    if view.state != "resolved":
        made.append(_silences(view, language, value(SILENCE)))
    if url:
        made.append(button(say(language, "open_web"), OPEN_WEB, url=url))
    return [actions(*made[: LIMITS["actions.elements"]])]


def _silences(view: AlertView, language: Language, value: str) -> Block:
    choices: tuple[Silence, ...] = (*SILENCES, "off") if view.silenced else SILENCES
    return overflow(SILENCE, [option(say(language, f"alert.silence.{one}"), f"{one} {value}") for one in choices])


def _row(view: AlertView, language: Language, url: str) -> list[Piece]:
    state = say_or(language, f"alert.state.{view.state}", view.state)
    severity = say_or(language, f"alert.severity.{view.severity}", view.severity)
    pieces: list[Piece] = [
        *(prose(view.title, 200, bold=True) or [text(say(language, "alert.untitled"))]),
        *prose(f" · {severity} · {state} ({view.firing}) · ", 200),
        code(f"{view.cluster_name}/{view.namespace}".rstrip("/"), 120),
        text(" · "),
        when(view.opened_at),
    ]
    if url:
        pieces += [text(" · "), our_link(url, say(language, "notice.open"))]
    return pieces


def _fallback(view: AlertView, language: Language) -> str:
    state = say_or(language, f"alert.state.{view.state}", view.state)
    counts = say(language, "alert.counts", firing=view.firing, resolved=view.resolved)
    return line(told(language, state, f"{view.title} · {view.cluster_name} · {counts}"), 700)


def _date(at: datetime) -> str:
    return mrkdwn.date(int(at.timestamp()), f"{at:%Y-%m-%d %H:%M} UTC", "{date_short_pretty} {time}")
