"""A call of the Web API as the fake sees it: its method, its arguments whatever their encoding, and who calls."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from tests.fake_slack.errors import SlackError, invalid
from tests.fake_slack.records import Json, Token

TRUE = {"1", "true", "True"}


def nobody() -> Token:
    """The token of a call that shows none."""
    return Token("", "none", "", "", "", set())


@dataclass
class Call:
    method: str
    args: Mapping[str, Any]
    at: float
    token: Token = field(default_factory=nobody)
    basic: tuple[str, str] | None = None
    """Client id and secret of HTTP basic authentication (OAuth)."""
    status: int = 0
    answer: Json = field(default_factory=dict[str, Any])
    """Empty as long as there is none."""
    lost: bool = False
    """The answer was injected away after the effect."""

    @property
    def error(self) -> str:
        return str(self.answer.get("error", ""))

    def text(self, name: str) -> str:
        """An argument as text; empty when absent."""
        value = self.args.get(name)
        return "" if value is None else str(value)

    def need(self, name: str, code: str = "invalid_arguments") -> str:
        """An argument that must be there."""
        value = self.text(name)
        if value:
            return value
        if code == "invalid_arguments":
            raise invalid(code, [f"missing required field: {name}"])
        raise SlackError(code)

    def flag(self, name: str, otherwise: bool = False) -> bool:
        value = self.args.get(name)
        return otherwise if value is None else value is True or str(value) in TRUE

    def number(self, name: str, otherwise: int) -> int:
        value = self.text(name)
        return int(value) if value.isdigit() else otherwise

    def has(self, name: str) -> bool:
        return self.args.get(name) is not None

    def object(self, name: str, code: str = "invalid_arguments") -> Json:
        """A JSON object, as such or as text."""
        value = _decoded(self.args.get(name), code)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise SlackError(code)
        return cast(Json, value)

    def objects(self, name: str, code: str = "invalid_arguments") -> list[Json]:
        """A JSON list of objects, as such or as text; empty when absent."""
        value = _decoded(self.args.get(name), code)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in cast(list[Any], value)):
            raise SlackError(code)
        return cast(list[Json], value)

    def words(self, name: str) -> list[str]:
        """A list of words: a JSON list, or separated by commas."""
        value = self.args.get(name)
        if isinstance(value, list):
            return [str(one) for one in cast(list[Any], value)]
        text = self.text(name)
        if text.startswith("["):
            return [str(one) for one in cast(list[Any], json.loads(text))]
        return [one for one in text.split(",") if one]


def _decoded(value: Any, code: str) -> Any:
    if not isinstance(value, str):
        return value
    if not value:
        return None
    try:
        return json.loads(value)
    except ValueError:
        raise SlackError(code) from None
