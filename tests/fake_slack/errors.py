"""What Slack answers when it refuses a call."""

from typing import Any


class SlackError(Exception):
    """An answer with `ok: false`: its code as in Slack's documentation, and what stands beside it."""

    def __init__(self, code: str, *, status: int = 200, headers: dict[str, str] | None = None, **beside: Any) -> None:
        super().__init__(code)
        self.code = code
        self.status = status
        self.headers = headers or {}
        self.beside = beside

    def body(self) -> dict[str, Any]:
        return {"ok": False, "error": self.code, **self.beside}


def invalid(code: str, problems: list[str]) -> SlackError:
    """A refusal that says what is wrong where, as Slack does for blocks, views and arguments."""
    return SlackError(code, errors=problems, response_metadata={"messages": [f"[ERROR] {problem}" for problem in problems]})
