"""What people write to the bot: Slack's signs in words, whom it is said to, which cluster is meant."""

import pytest

from bot.slack.work.asked import clusters_named, in_words, people_in, said
from bot.slack.work.words import rows, tell

BOT = "U0BOT"
NAMES = {"U1DANA": "Dana"}


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<@U0BOT> why does payments crash?", "why does payments crash?"),
        ("hey <@U0BOT>, why?", "hey why?"),
        ("<@U0BOT|opsthread>: why?", "why?"),
        ("why, <@U0BOT>", "why,"),
        ("<@U0BOT> ask <@U1DANA> or <@U2X>", "ask @Dana or @U2X"),
        ("<@U0BOT> look at <#C1|ops> and <#C2>", "look at #ops and #C2"),
        ("<@U0BOT> <!here> <!subteam^S1|@sre> <!date^1^{date}|today>", "@here @sre today"),
        ("<@U0BOT> is <http://api.example.com|api.example.com> up?", "is api.example.com up?"),
        ("<@U0BOT> see <https://x.example/a|the page>", "see the page (https://x.example/a)"),
        ("<@U0BOT> a &lt;b&gt; &amp;amp; c", "a <b> &amp; c"),
        ("<@U0BOT>   many    blanks", "many blanks"),
        ("<@U0BOT> `kubectl  get pods`", "`kubectl  get pods`"),
        ("<@U0BOT>", ""),
    ],
)
def test_slacks_signs_become_words(text: str, plain: str) -> None:
    assert said(text, BOT, NAMES).text == plain


def test_entities_are_decoded_once() -> None:
    assert in_words("&amp;lt;!channel&amp;gt;", {}) == "&lt;!channel&gt;"


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("<@U0BOT> follow this thread", "follow"),
        ("<@U0BOT> please follow the thread", "follow"),
        ("<@U0BOT> unfollow", "unfollow"),
        ("<@U0BOT> stop following this thread.", "unfollow"),
        ("<@U0BOT> 跟进", "follow"),
        ("<@U0BOT> 取消跟进", "unfollow"),
        ("<@U0BOT> このスレッドをフォローして", "follow"),
        ("<@U0BOT> help", "help"),
        ("<@U0BOT> does the follower follow this thread of events?", ""),
        ("<@U0BOT> what does follow do in the config?", ""),
    ],
)
def test_what_is_wished_for_the_thread(text: str, wish: str) -> None:
    assert said(text, BOT).wish == wish


@pytest.mark.parametrize(
    ("text", "to_another"),
    [
        ("<@U1DANA> could you look?", True),
        ("<!subteam^S1|@sre> look please", True),
        ("<@U1DANA> <@U0BOT> look", False),
        ("I asked <@U1DANA> already", False),
        ("look at this", False),
    ],
)
def test_who_is_spoken_to(text: str, to_another: bool) -> None:
    assert said(text, BOT).to_another is to_another


def test_people_are_found_once_each() -> None:
    assert people_in("<@U1> and <@W2|bo> and <@U1>") == ("U1", "W2")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("why does it crash in prod?", ("1",)),
        ("why does it crash in prod-eu?", ("2",)),
        ("is PROD fine?", ("1",)),
        ("production is down", ()),
        ("prod and prod-eu differ", ("2", "1")),
        ("my-prod is not ours", ()),
        ("see prod.example.com", ()),
        ("in prod.", ("1",)),
    ],
)
def test_clusters_are_named_as_words(text: str, named: tuple[str, ...]) -> None:
    assert clusters_named(text, [("1", "prod"), ("2", "prod-eu"), ("3", "")]) == named


def test_every_word_is_there_in_three_languages_with_the_same_values() -> None:
    for key, texts in rows().items():
        assert all(texts), key
        values = [sorted(part.split("}")[0] for part in text.split("{")[1:]) for text in texts]
        assert values[0] == values[1] == values[2], key
    assert tell("ja", "cancelled", who="Dana") == "Dana さんが停止しました。"
