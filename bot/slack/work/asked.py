"""What people write to the bot, in plain words: Slack's own signs taken out, and whom it is said to. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from protocol.text import clean

_PERSON = re.compile(r"<@([UW][A-Z0-9]+)(?:\|([^>]*))?>")
_CHANNEL = re.compile(r"<#([CG][A-Z0-9]+)(?:\|([^>]*))?>")
_SPECIAL = re.compile(r"<!(?:subteam\^[A-Z0-9]+\|@?([^>]+)|subteam\^[A-Z0-9]+|date\^[^>|]*\|?([^>]*)|([a-z]+)[^>]*)>")
_LINK = re.compile(r"<([a-zA-Z][a-zA-Z+.-]*:[^>|\s]+)(?:\|([^>]*))?>")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
_OTHER_FIRST = re.compile(r"^\s*<(?:@[UW][A-Z0-9]+|!subteam\^[A-Z0-9]+)(?:\|[^>]*)?>")

Wish = Literal["", "follow", "unfollow", "help"]

_WISHES: tuple[tuple[Wish, re.Pattern[str]], ...] = (
    (
        "unfollow",
        re.compile(
            r"(?:please )?(?:unfollow|(?:stop|quit) following)(?: this| the)?(?: thread)?(?: please)?"
            r"|不要(?:再)?跟进|取消跟进|フォロー(?:を)?(?:解除|やめて)"
        ),
    ),
    (
        "follow",
        re.compile(
            r"(?:please )?follow(?: this| the)? ?(?:thread)?(?: please)?"
            r"|跟进(?:这个)?(?:话题|线程)?|(?:この)?スレッドをフォロー(?:して)?"
        ),
    ),
    ("help", re.compile(r"(?:help|\?|what can you do|帮助|ヘルプ)")),
)


@dataclass(frozen=True)
class Said:
    text: str
    """For the log and the model."""
    wish: Wish = ""
    """What is to be done with the thread itself."""
    to_another: bool = False
    """It begins with the name of somebody else."""


def said(text: str, bot_user: str, names: Mapping[str, str] | None = None) -> Said:
    """`names` are the display names of people who are mentioned, by id."""
    mention = re.compile(rf"\s*<@{re.escape(bot_user)}(?:\|[^>]*)?>\s*[,:，：]?") if bot_user else re.compile(r"(?!)")
    to_us = mention.search(text) is not None
    to_another = not to_us and _OTHER_FIRST.match(text) is not None
    plain = in_words(mention.sub(" ", text) if to_us else text, names or {})
    plain = "\n".join(re.sub(r"[ \t]{2,}", " ", line).strip() if "`" not in line else line for line in plain.split("\n"))
    plain = plain.strip()
    plain = plain.lstrip(",:;，：").strip() if to_us else plain
    return Said(plain, _wish(plain), to_another)


def people_in(text: str) -> tuple[str, ...]:
    """Ids of people who are mentioned, each once."""
    return tuple(dict.fromkeys(found[1] for found in _PERSON.finditer(text)))


def in_words(text: str, names: Mapping[str, str]) -> str:
    """Mentions as @names, channels as #names, links as their addresses, entities as what they stand for."""
    text = _PERSON.sub(lambda m: f"@{m[2] or names.get(m[1]) or m[1]}", text)
    text = _CHANNEL.sub(lambda m: f"#{m[2] or m[1]}", text)
    text = _SPECIAL.sub(lambda m: f"@{m[1]}" if m[1] else (m[2] or (f"@{m[3]}" if m[3] else "")), text)
    text = _LINK.sub(_link, text)
    for entity, letter in _ENTITIES:
        text = text.replace(entity, letter)
    return clean(text)


def clusters_named(text: str, clusters: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Ids of the clusters, given as (id, name), whose name stands in the text as a word; the longest names first, and no name
    that is a part of one that was found."""
    found: list[str] = []
    left = text.casefold()
    for cluster, name in sorted(clusters, key=lambda one: -len(one[1])):
        word = re.compile(rf"(?<![a-z0-9_.-]){re.escape(name.casefold())}(?![a-z0-9_-]|\.[a-z0-9])")
        if name and word.search(left):
            found.append(cluster)
            left = word.sub(" ", left)
    return tuple(found)


def _link(found: re.Match[str]) -> str:
    address, label = found[1], found[2] or ""
    if address.startswith("mailto:"):
        return label or address.removeprefix("mailto:")
    # A host that Slack made a link of by itself is shown as it was typed.
    if not label or label == address or address.removeprefix("http://").rstrip("/") == label:
        return label or address
    return f"{label} ({address})"


def _wish(text: str) -> Wish:
    word = text.strip(" .!。！").casefold()
    for wish, pattern in _WISHES:
        if pattern.fullmatch(word):
            return wish
    return ""
