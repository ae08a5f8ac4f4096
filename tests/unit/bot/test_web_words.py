"""Three languages, the same keys; every key that a page or a script asks for is there."""

import re
from pathlib import Path

import pytest

from bot.api.language import LANGUAGES, choose
from bot.web.words import catalogue, say
from protocol.approval import ApprovalState, Role
from protocol.commands import CommandStatus
from protocol.events import Language
from protocol.remediation import Risk

WEB = Path(__file__).parents[3] / "bot" / "web"
PARAMETER = re.compile(r"\{([a-z_]+)\}")
CALL = re.compile(r"""\bt(?:Or)?\(\s*["']([a-z0-9_.-]+)["']""")
FAMILY = re.compile(r"""\bt(?:Or)?\(\s*[`"'(]+([a-z_]+(?:\.[a-z_]+)*\.)(?:\$\{|["'] ~)""")
ROWS = re.compile(r"""section\("([a-z.]+)"|\["(approval\.[a-z_]+)",""")


def sources() -> str:
    files = [*(WEB / "templates").glob("*.html"), *(WEB / "static").rglob("*.js")]
    return "\n".join(f.read_text() for f in files)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_keys_agree(language: Language) -> None:
    assert set(catalogue(language)) == set(catalogue("en"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_parameters_agree(language: Language) -> None:
    for key, words in catalogue(language).items():
        assert set(PARAMETER.findall(words)) == set(PARAMETER.findall(catalogue("en")[key])), key
        assert words.strip(), key


def test_every_key_that_is_asked_for_is_there() -> None:
    asked = set(CALL.findall(sources())) | {a or b for a, b in ROWS.findall(sources())}
    assert len(asked) > 100
    whole = {key for key in asked if not key.endswith(".")}
    assert sorted(whole - set(catalogue("en"))) == []


def test_every_family_of_keys_has_members() -> None:
    families = set(FAMILY.findall(sources()))
    assert {"state.", "risk.", "status.", "source.", "note.", "decision."} <= families
    for family in families:
        assert [k for k in catalogue("en") if k.startswith(family)], family


@pytest.mark.parametrize(
    "key",
    [
        *(f"state.{s}" for s in ApprovalState),
        *(f"risk.{r}" for r in Risk),
        *(f"role.{r}" for r in Role),
        *(f"status.{s}" for s in CommandStatus if s not in (CommandStatus.OK, CommandStatus.EMPTY)),
    ],
)
def test_every_value_of_the_protocol_has_words(key: str) -> None:
    assert key in catalogue("en")


def test_no_key_is_left_over() -> None:
    text = sources()
    families = tuple(set(FAMILY.findall(text)) | {"suggest.", "sign_in.error."})
    left = [k for k in catalogue("en") if f'"{k}"' not in text and f"'{k}'" not in text and not k.startswith(families)]
    assert left == []


def test_words_are_filled() -> None:
    assert say("en", "approval.took", time="3 s") == "took 3 s"


def test_an_unknown_key_is_an_error_on_the_server() -> None:
    with pytest.raises(KeyError):
        say("en", "no.such.key")


@pytest.mark.parametrize(
    ("cookie", "accept", "chosen"),
    [
        (None, "", "en"),
        (None, "ja-JP,ja;q=0.9,en;q=0.8", "ja"),
        (None, "fr-FR, zh-CN;q=0.9", "zh"),
        ("zh", "ja", "zh"),
        ("xx", "ja", "ja"),
        ("../en", "", "en"),
    ],
)
def test_language_is_the_cookie_then_the_browser_then_english(cookie: str | None, accept: str, chosen: str) -> None:
    assert choose(cookie, accept) == chosen
