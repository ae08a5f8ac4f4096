"""What goes wrong on the way: errors, lost answers, cut connections, answers that stay out. Set by tests, used up by calls."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from tests.fake_slack.calls import Call
from tests.fake_slack.errors import SlackError

When = Callable[[Call], bool]


class Harm(StrEnum):
    SERVER_ERROR = "500"
    CUT = "connection cut"
    REFUSED = "refused"
    HELD = "answer held back"
    LATE = "answer late"


@dataclass(eq=False)
class Fault:
    """One trouble of one method, or of every one (`*`); `after` says that the effect happens before it."""

    method: str
    harm: Harm
    after: bool = False
    times: int = 1
    when: When | None = None
    refusal: SlackError | None = None
    seconds: float = 0
    met: list[Call] = field(default_factory=list[Call])
    """The calls that it struck."""
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Let held calls go on."""
        self._released.set()

    async def held(self) -> None:
        await self._released.wait()


class Faults:
    """The troubles that are set. Each strikes its first `times` calls for which `when` is true."""

    def __init__(self) -> None:
        self._set: list[Fault] = []

    def server_error(self, method: str, *, times: int = 1, after: bool = False, when: When | None = None) -> Fault:
        """HTTP 500; with `after` the call has had its effect."""
        return self._add(Fault(method, Harm.SERVER_ERROR, after, times), when)

    def cut(self, method: str, *, times: int = 1, when: When | None = None) -> Fault:
        """The connection breaks and nothing has happened."""
        return self._add(Fault(method, Harm.CUT, False, times), when)

    def lost_answer(self, method: str, *, times: int = 1, when: When | None = None) -> Fault:
        """The connection breaks, and what was asked for has happened."""
        return self._add(Fault(method, Harm.CUT, True, times), when)

    def rate_limited(self, method: str, retry_after: int, *, times: int = 1, when: When | None = None) -> Fault:
        """HTTP 429 with Retry-After."""
        refusal = SlackError("ratelimited", status=429, headers={"Retry-After": str(retry_after)})
        return self._add(Fault(method, Harm.REFUSED, False, times, refusal=refusal), when)

    def refuse(self, method: str, code: str, *, times: int = 1, when: When | None = None) -> Fault:
        """`ok: false` with this code."""
        return self._add(Fault(method, Harm.REFUSED, False, times, refusal=SlackError(code)), when)

    def hold(self, method: str, *, times: int = 1, after: bool = False, when: When | None = None) -> Fault:
        """No answer until `release()`: late, or never as the caller's time-out sees it."""
        return self._add(Fault(method, Harm.HELD, after, times), when)

    def late(self, method: str, seconds: float, *, times: int = 1_000_000, when: When | None = None) -> Fault:
        """The answer takes so many seconds of the fake's clock longer."""
        return self._add(Fault(method, Harm.LATE, False, times, seconds=seconds), when)

    def strike(self, call: Call) -> Fault | None:
        """The trouble of this call, if one is set for it."""
        for fault in self._set:
            if fault.method in (call.method, "*") and len(fault.met) < fault.times and (fault.when is None or fault.when(call)):
                fault.met.append(call)
                return fault
        return None

    def remove(self, fault: Fault) -> None:
        """End one trouble."""
        fault.release()
        self._set.remove(fault)

    def clear(self) -> None:
        """Forget every trouble and let go what is held."""
        for fault in self._set:
            fault.release()
        self._set.clear()

    def _add(self, fault: Fault, when: When | None) -> Fault:
        fault.when = when
        self._set.append(fault)
        return fault
