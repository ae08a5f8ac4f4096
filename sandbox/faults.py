"""Faults of the API server itself, on request: errors and delays for paths that match."""

import re
from dataclasses import dataclass

from sandbox.errors import bad_request
from sandbox.objects import Obj

_MESSAGES = {
    403: "forbidden by the fault that a test asked for",
    429: "Too many requests, please try again later.",
    500: "etcdserver: request timed out",
    503: "the server is currently unable to handle the request",
    504: "the server was unable to return a response in the time allotted",
}


@dataclass
class Fault:
    match: re.Pattern[str]
    status: int
    delay: float
    left: int
    message: str


class Faults:
    def __init__(self) -> None:
        self.active: list[Fault] = []

    def add(self, wanted: Obj) -> None:
        """{"match": path regex, "status": 0|403|429|500..., "delay": seconds, "count": n}. Raises ApiError 400."""
        try:
            pattern = re.compile(str(wanted.get("match", ".*")))
            status = int(wanted.get("status", 0))
            delay, count = float(wanted.get("delay", 0)), int(wanted.get("count", 1))
        except (re.error, ValueError) as error:
            raise bad_request(f"not a fault: {error}") from error
        message = str(wanted.get("message") or _MESSAGES.get(status, "fault that a test asked for"))
        self.active.append(Fault(pattern, status, delay, count, message))

    def clear(self) -> None:
        self.active.clear()

    def take(self, path: str) -> Fault | None:
        """The fault that hits this request, counted down; admin endpoints are spared."""
        if path.startswith("/_sandbox"):
            return None
        for fault in self.active:
            if fault.left > 0 and fault.match.search(path):
                fault.left -= 1
                return fault
        return None
