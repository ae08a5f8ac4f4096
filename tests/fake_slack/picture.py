"""Block Kit as a page of plain HTML, in a look of our own: for pictures of what the product really sent.

Every block and element that it uses is drawn; one that nobody has drawn yet is an error.
"""

import base64
import html
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from tests.fake_slack.records import Json, Message
from tests.fake_slack.world import World

Draw = Callable[[Json], str]
_DOTS = {"green": "#2f9e63", "yellow": "#d9a514", "orange": "#dd7a1c", "red": "#cf3b33", "blue": "#2f5fde", "white": "#c9ccd3"}
_CIRCLES = {"🟢": "green", "🟡": "yellow", "🟠": "orange", "🔴": "red", "🔵": "blue", "⚪": "white"}
_SIGNS = {
    "again": "↻", "arrow_right": "→", "arrows_counterclockwise": "↻", "bell": "●", "busts_in_silhouette": "⚇", "clock3": "◷",
    "eyes": "◉", "gear": "⚙", "hourglass_flowing_sand": "⌛", "mag": "⌕", "no_bell": "⊝", "no_entry_sign": "⊘", "question": "?",
    "rewind": "↶", "rotating_light": "▲", "snowflake": "❄", "warning": "⚠", "white_check_mark": "✔", "x": "✖",
}  # fmt: skip
_BAD, _GOOD = {"x", "rotating_light", "warning", "no_entry_sign"}, {"white_check_mark"}
_MARK = re.compile(r":([a-z][a-z0-9_+-]{0,40}):")
_NOTHING: Json = {"type": "plain_text", "text": ""}
_DATE = re.compile(r"\{(date_short_pretty|date_pretty|date_short|date|date_num|time|time_secs|ago)\}")


@dataclass(frozen=True)
class Line:
    """A message as it is drawn."""

    who: str
    at: float
    blocks: list[Json]
    text: str = ""
    app: bool = False
    only: bool = False
    """Seen by one person alone."""
    pictures: tuple[tuple[bytes, str], ...] = ()
    """(PNG, its words)"""


def line_of(world: World, message: Message) -> Line:
    """A message as it is now. Of what people wrote only the words: Slack's blocks of them are the fake's own."""
    author = world.user(message.user)
    files = [world.files[one] for one in message.files]
    return Line(
        who=author.real_name or author.name,
        at=float(message.ts),
        blocks=message.blocks if message.bot_id else [],
        text=message.text,
        app=bool(message.bot_id),
        only=bool(message.only_for),
        pictures=tuple((one.content, one.alt_text or one.title) for one in files if one.content),
    )


class Drawer:
    """`names` are people and channels by id."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names
        self._blocks: dict[str, Draw] = {
            "section": self._section,
            "context": self._context,
            "header": lambda b: f"<h2>{self._text(b['text'])}</h2>",
            "divider": lambda _: "<hr>",
            "actions": lambda b: f'<div class="actions">{"".join(map(self._element, _list(b["elements"])))}</div>',
            "rich_text": lambda b: "".join(map(self._rich, _list(b["elements"]))),
            "input": self._input,
            "plan": self._plan,
            "task_card": lambda b: f'<div class="tasks"><ul>{self._task(b)}</ul></div>',
            "markdown": self._markdown,
        }
        self._elements: dict[str, Draw] = {
            "button": lambda e: f'<span class="button {e.get("style", "")}">{self._text(e["text"])}</span>',
            "overflow": lambda _: '<span class="button more">⋯</span>',
            "static_select": lambda e: f'<span class="button">{self._text(e["placeholder"])} ▾</span>',
            "plain_text_input": lambda e: f'<span class="field">{self._text(e.get("placeholder", _NOTHING))}</span>',
        }

    def thread(self, title: str, lines: Iterable[Line], *, width: int = 760) -> str:
        """A page: a thread with these messages."""
        return _page(f"<h1>{html.escape(title)}</h1>{''.join(map(self._line, lines))}", width)

    def view(self, title: str, body: Json, *, width: int = 760) -> str:
        """A page: the Home tab, or a window."""
        buttons = "".join(
            f'<span class="button {style}">{self._text(body[name])}</span>'
            for name, style in (("close", ""), ("submit", "primary"))
            if name in body
        )
        shown = self._text(body["title"]) if "title" in body else html.escape(title)
        end = f'<div class="actions end">{buttons}</div>' if buttons else ""
        return _page(f'<h1>{shown}</h1><div class="view">{self.blocks(_list(body["blocks"]))}</div>{end}', width)

    def blocks(self, blocks: Iterable[Json]) -> str:
        return "".join(self._blocks[str(block["type"])](block) for block in blocks)

    def _line(self, line: Line) -> str:
        at = datetime.fromtimestamp(line.at, UTC)
        badge = '<span class="badge">APP</span>' if line.app else ""
        only = '<p class="only">Only visible to you</p>' if line.only else ""
        body = self.blocks(line.blocks) if line.blocks else f"<p>{self._mrkdwn(line.text)}</p>" if line.text else ""
        pictures = "".join(
            f'<figure><img src="data:image/png;base64,{base64.b64encode(png).decode()}" alt=""><figcaption>{html.escape(words)}'
            "</figcaption></figure>"
            for png, words in line.pictures
        )
        return (
            f'<article><div class="face {"ours" if line.app else ""}">{html.escape(line.who[:1].upper())}</div>'
            f'<div class="said">{only}<p><b>{html.escape(line.who)}</b>{badge}<time>{at:%H:%M}</time></p>'
            f"{body}{pictures}</div></article>"
        )

    def _plan(self, block: Json) -> str:
        tasks = "".join(map(self._task, _list(block["tasks"])))
        return f'<div class="tasks"><p>{html.escape(str(block["title"]))}</p><ul>{tasks}</ul></div>'

    def _task(self, card: Json) -> str:
        output = self.blocks([card["output"]]) if "output" in card else ""
        status, title = html.escape(str(card["status"])), html.escape(str(card["title"]))
        return f'<li class="{status}"><i></i><span>{title}</span><small>{output}</small></li>'

    def _markdown(self, block: Json) -> str:
        return "".join(f"<p>{html.escape(part)}</p>" for part in str(block["text"]).split("\n") if part.strip())

    def _context(self, block: Json) -> str:
        lines = "".join(f"<span>{self._text(one)}</span>" for one in _list(block["elements"]))
        return f'<div class="context">{lines}</div>'

    def _section(self, block: Json) -> str:
        fields = "".join(f"<div>{self._text(one)}</div>" for one in _list(block.get("fields")))
        accessory = self._element(block["accessory"]) if "accessory" in block else ""
        words = f"<p>{self._text(block['text'])}</p>" if "text" in block else ""
        below = f'<div class="fields">{fields}</div>' if fields else ""
        return f'<div class="section"><div>{words}{below}</div>{accessory}</div>'

    def _input(self, block: Json) -> str:
        return f'<div class="input"><b>{self._text(block["label"])}</b>{self._element(block["element"])}</div>'

    def _element(self, element: Json) -> str:
        return self._elements[str(element["type"])](element)

    def _text(self, said: Json) -> str:
        text = str(said["text"])
        if said["type"] == "mrkdwn":
            return self._mrkdwn(text)
        return _signs(html.escape(text)) if said.get("emoji") else html.escape(text)

    def _mrkdwn(self, text: str) -> str:
        """Slack's markup, in which & < > come escaped."""
        parts = re.split(r"(```.*?```|`[^`\n]+`)", text, flags=re.DOTALL)
        return "".join(self._coded(part) if part.startswith("`") else self._marked(part) for part in parts)

    @staticmethod
    def _coded(part: str) -> str:
        return f"<pre>{part.strip('`').strip()}</pre>" if part.startswith("```") else f"<code>{part[1:-1]}</code>"

    def _marked(self, text: str) -> str:
        text = re.sub(r"<([^<>\n]+)>", lambda found: self._angled(found.group(1)), text)
        text = re.sub(r"(?<![\w*])\*([^*\n]+)\*(?![\w*])", r"<b>\1</b>", text)
        text = re.sub(r"(?<![\w_])_([^_\n]+)_(?![\w_])", r"<em>\1</em>", text)
        text = re.sub(r"(?<![\w~])~([^~\n]+)~(?![\w~])", r"<s>\1</s>", text)
        return _signs(text).replace("\n", "<br>")

    def _angled(self, inside: str) -> str:
        target, _, label = inside.partition("|")
        if target.startswith("!date^"):
            _, stamp, form, *_ = target.split("^")
            return _moment(int(stamp), form)
        if target.startswith(("@", "#", "!")):
            name = self._names.get(target[1:].removeprefix("subteam^"), label or target[1:])
            return _named(name, "#" if target.startswith("#") else "@")
        return f"<u>{label or target}</u>"

    def _rich(self, element: Json) -> str:
        inner = _list(element["elements"])
        match str(element["type"]):
            case "rich_text_section":
                return f"<p>{self._pieces(inner)}</p>"
            case "rich_text_quote":
                return f"<blockquote>{self._pieces(inner)}</blockquote>"
            case "rich_text_preformatted":
                return f"<pre>{self._pieces(inner)}</pre>"
            case "rich_text_list":
                tag = "ol" if element["style"] == "ordered" else "ul"
                first = f' start="{int(element.get("offset", 0)) + 1}"' if tag == "ol" else ""
                barred = ' class="bar"' if element.get("border") else ""
                rows = "".join(f"<li>{self._pieces(_list(one['elements']))}</li>" for one in inner)
                return f'<{tag}{first}{barred} style="margin-left:{int(element.get("indent", 0)) * 20}px">{rows}</{tag}>'
            case other:
                raise AssertionError(f"nobody draws {other} yet")

    def _pieces(self, pieces: list[Json]) -> str:
        return "".join(map(self._piece, pieces))

    def _piece(self, piece: Json) -> str:
        match str(piece["type"]):
            case "text":
                said = _coloured(html.escape(str(piece["text"])))
            case "link":
                said = f"<u>{html.escape(str(piece.get('text') or piece['url']))}</u>"
            case "date":
                said = _moment(int(piece["timestamp"]), str(piece["format"]))
            case "user":
                said = _named(self._names.get(str(piece["user_id"]), "somebody"), "@")
            case "emoji":
                said = _signs(f":{piece['name']}:")
            case other:
                raise AssertionError(f"nobody draws {other} yet")
        for style, tag in (("code", "code"), ("bold", "b"), ("italic", "em"), ("strike", "s")):
            if cast(Json, piece.get("style") or {}).get(style):
                said = f"<{tag}>{said}</{tag}>"
        return said.replace("\n", "<br>") if "<code>" not in said else said


def _named(name: str, sign: str) -> str:
    return f'<span class="name">{sign}{html.escape(name)}</span>'


def _coloured(text: str) -> str:
    return re.sub("[🟢🟡🟠🔴🔵⚪]", lambda found: _sign(f"{_CIRCLES[found.group()]}_circle"), text)


def _signs(text: str) -> str:
    return _MARK.sub(lambda found: _sign(found.group(1)), text)


def _sign(name: str) -> str:
    dot = next((colour for word, colour in _DOTS.items() if name in (f"large_{word}_circle", f"{word}_circle")), "")
    if dot:
        return f'<i class="dot" style="background:{dot}"></i>'
    if name not in _SIGNS:
        raise AssertionError(f"nobody draws :{name}: yet")
    return f'<i class="sign {"bad" if name in _BAD else "good" if name in _GOOD else ""}">{_SIGNS[name]}</i>'


def _moment(stamp: int, form: str) -> str:
    at = datetime.fromtimestamp(stamp, UTC)
    how = {"time": "%H:%M", "time_secs": "%H:%M:%S", "ago": "%H:%M", "date_num": "%Y-%m-%d"}
    return html.escape(_DATE.sub(lambda found: at.strftime(how.get(found.group(1), "%-d %b")), form))


def _list(value: Any) -> list[Json]:
    return cast(list[Json], value or [])


def _page(inside: str, width: int) -> str:
    css = Path(__file__).with_name("picture.css").read_text(encoding="utf-8")
    return f'<!doctype html><meta charset="utf-8"><style>{css}</style><main style="width:{width}px">{inside}</main>'
