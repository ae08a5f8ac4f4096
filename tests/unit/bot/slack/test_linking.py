"""What counts as a wish to link, and that whoever is nobody is told why in three languages."""

from typing import get_args

import pytest

from bot.slack.identity import Code
from bot.slack.linking import Wish, wish_of
from bot.slack.work.words import rows, tell

OFFER, UNLINK = Wish("offer"), Wish("unlink")


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("link", OFFER),
        (" Link me, please ".replace(",", ""), OFFER),
        ("`link`", OFFER),
        ("link!", OFFER),
        ("关联", OFFER),
        ("連携", OFFER),
        ("連携して", OFFER),
        ("link 123456", Wish("confirm", "123456")),
        ("LINK 123 456", Wish("confirm", "123456")),
        ("link: 123-456", Wish("confirm", "123456")),
        ("`link 123456`", Wish("confirm", "123456")),
        ("link １２３４５６", Wish("confirm", "123456")),
        ("关联 123456", Wish("confirm", "123456")),
        ("連携 123456", Wish("confirm", "123456")),
        ("unlink", UNLINK),
        ("unlink me", UNLINK),
        ("取消关联", UNLINK),
        ("連携を解除して", UNLINK),
        ("", None),
        ("why does the link fail?", None),
        ("link the pods to the node", None),
        ("link 123456 why does it crash", None),
        ("link payments", None),
        ("symlink", None),
        ("link 123456789012345", None),
        ("unlink 123456", None),
        ("hyperlink", None),
    ],
)
def test_what_counts_as_a_wish(text: str, wish: Wish | None) -> None:
    assert wish_of(text) == wish


def test_everybody_who_is_nobody_is_told_why_in_three_languages() -> None:
    codes = [code for code in get_args(Code) if code]
    said = {tell(language, f"who.{code}") for language in ("en", "zh", "ja") for code in codes}
    assert len(said) == 3 * len(codes)
    holes = {key: {words.count("{account}") for words in texts} for key, texts in rows().items() if key.startswith("link.")}
    assert all(len(counts) == 1 for counts in holes.values()), holes
