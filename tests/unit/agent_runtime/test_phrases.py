"""Every sentence of the offline model is there in three languages, with the same values."""

from string import Formatter

import pytest

from agent_runtime.models.phrases import PHRASES


@pytest.mark.parametrize("key", PHRASES)
def test_a_phrase_has_three_languages_with_the_same_values(key: str) -> None:
    texts = PHRASES[key]
    assert set(texts) == {"en", "zh", "ja"}
    values = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in texts.values()]
    assert values[0] == values[1] == values[2]
