"""Which part of what a model writes is for people: not its thinking, not the calls that it writes as text. Incremental, pure.

Servers without a field for reasoning leave `<think>…</think>` in the text, and some leave its beginning out; servers without
a parser for tools leave the model's own marks. What may be a call is held back to the end, where `text_calls` reads it.
"""

import re
from dataclasses import dataclass, field

_THINK = ("<think>", "<thinking>", "<reasoning>", "<|channel|>analysis<|message|>")
_THOUGHT = ("</think>", "</thinking>", "</reasoning>", "<|channel|>final<|message|>")
_CALL = ("<tool_call>", "<function=", "<function_call>", "<|python_tag|>", "[TOOL_CALLS]", "<|tool_call|>")
_MARKS = (*_THINK, *_THOUGHT, *_CALL)
_MARK = re.compile("|".join(map(re.escape, _MARKS)))
_BEGINNING = re.compile("|".join(map(re.escape, _THINK)))
_LONE = re.compile("|".join(map(re.escape, _THOUGHT)))
_LONGEST = max(map(len, _MARKS))
_MAY_BE_A_CALL = ("{", "[{", "```json", "```tool", "```\n{", "```{")
_UNDECIDED = max(map(len, _MAY_BE_A_CALL))


@dataclass(slots=True)
class Visible:
    text: str = ""
    """For people, so far."""
    held: str = ""
    """What may be a call: everything from its mark on."""
    _pending: str = ""
    _thinking: bool = False
    _begun: bool = False
    _holding: bool = field(default=False)

    def feed(self, piece: str) -> str:
        """More of the answer. What of it people may see now."""
        if self._holding:
            self.held += piece
            return ""
        self._pending += piece
        shown = ""
        while (found := _MARK.search(self._pending)) is not None:
            before, mark = self._pending[: found.start()], found.group()
            self._pending = self._pending[found.end() :]
            if mark in _THOUGHT:
                if not self._thinking:
                    # Its beginning was left out: all before it was thinking too.
                    self.text, shown = "", ""
                self._thinking, self._begun = False, False
                continue
            if self._thinking:
                continue
            shown += self._show(before)
            if mark in _CALL or self._holding:
                self._hold(mark)
                return shown
            self._thinking = True
        keep = self._tail()
        ready, self._pending = self._pending[: len(self._pending) - keep], self._pending[len(self._pending) - keep :]
        if self._thinking:
            return shown
        shown += self._show(ready)
        if self._holding:
            self._hold("")
        return shown

    def end(self) -> None:
        """Nothing more comes. Thinking that never ended is no answer."""
        while self._holding and not self.held.startswith(_CALL) and self._without_thoughts():
            continue
        if not self._thinking and not self._holding:
            rest, self._pending = self._pending, ""
            if not self._begun and rest.lstrip().startswith(_MAY_BE_A_CALL):
                self.held += rest
            else:
                self.text += rest
        self._pending = ""

    def _without_thoughts(self) -> bool:
        """What was held back for its look may hold some thoughts; or have been one, then what follows is read anew (True)."""
        self.held, after = _thoughts_of(self.held)
        if after is None:
            return False
        self.text, self.held, self._holding, self._begun = "", "", False, False
        self.feed(after)
        return True

    def _show(self, ready: str) -> str:
        """At its beginning an answer may turn out to be a call in JSON, which nobody should see being written."""
        if not self._begun:
            ready = ready.lstrip()
            if not ready:
                return ""
            if ready.startswith(_MAY_BE_A_CALL):
                self._holding, self.held = True, ready
                return ""
            if len(ready) < _UNDECIDED and any(start.startswith(ready) for start in _MAY_BE_A_CALL):
                self._pending = ready + self._pending
                return ""
            self._begun = True
        self.text += ready
        return ready

    def _hold(self, mark: str) -> None:
        self._holding, self.held = True, self.held + mark + self._pending
        self._pending = ""

    def _tail(self) -> int:
        """How many characters at the end may be the beginning of a mark."""
        end = self._pending[-_LONGEST:]
        return next(
            (size for size in range(len(end), 0, -1) if any(mark.startswith(end[-size:]) for mark in _MARKS)),
            0,
        )


def _thoughts_of(text: str) -> tuple[str, str | None]:
    """The text without its whole thoughts; and what follows where one ended that had no beginning. In linear time."""
    kept, at = list[str](), 0
    while (ended := _LONE.search(text, at)) is not None:
        begun = _BEGINNING.search(text, at, ended.start())
        if begun is None:
            return "", text[ended.end() :]
        kept.append(text[at : begun.start()])
        at = ended.end()
    return "".join([*kept, text[at:]]), None
