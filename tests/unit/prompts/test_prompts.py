"""Every prompt is there in three languages and asks for the same values."""

import pytest

from prompts import LANGUAGES, NAMES, places, prompt


@pytest.mark.parametrize("name", NAMES)
def test_each_prompt_has_the_same_places_in_every_language(name: str) -> None:
    needed = places(name, "en")
    assert needed
    for language in LANGUAGES:
        assert places(name, language) == needed, language


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", NAMES)
def test_a_filled_prompt_has_no_place_left(name: str, language: str) -> None:
    text = prompt(name, language, **{place: f"<{place}>" for place in places(name, language)})
    assert "${" not in text
    for place in places(name, language):
        assert f"<{place}>" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_system_prompt_names_the_tools_and_the_fence_and_stays_short(language: str) -> None:
    text = prompt("system", language, cluster="shop", scope="all", now="2026-11-20T12:00:00Z")
    for word in ("`report`", "`propose_remediation`", "<data>", "</data>", "r1"):
        assert word in text
    assert len(text.encode()) < 2600


def test_a_value_that_looks_like_a_place_stays_text() -> None:
    assert "${cluster}" in prompt("budget", "en", what="${cluster}")


def test_an_unknown_prompt_or_language_or_a_missing_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        prompt("nothing", "en")
    with pytest.raises(KeyError):
        prompt("system", "fr")
    with pytest.raises(KeyError):
        prompt("system", "en", cluster="x")
