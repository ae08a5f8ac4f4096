"""A practice cluster on a clock that the test turns, spoken to by API calls as any client would."""

from typing import Any

import orjson

from sandbox.api import Answer
from sandbox.auth import IDENTITIES
from sandbox.objects import Obj
from sandbox.patches import MERGE_PATCH, STRATEGIC_PATCH
from sandbox.requests import Call
from sandbox.world import Sandbox


class Bench:
    def __init__(self, *scenarios: str) -> None:
        self.sandbox = Sandbox(scenarios)
        self.cluster = self.sandbox.cluster

    def pass_time(self, seconds: float) -> None:
        self.cluster.run_until(self.cluster.clock.now + seconds)

    def answer(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: dict[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        identity: str = "admin",
    ) -> Answer:
        """Raises ApiError as the server would send it."""
        who = next(i for i in IDENTITIES if i.name == identity)
        headers = {"content-type": content_type, "accept": accept, "user-agent": "bench/1.0"}
        raw = b"" if body is None else orjson.dumps(body)
        answer = self.sandbox.api.answer(Call(method, path, query or {}, headers, raw, who))
        assert isinstance(answer, Answer)
        self.cluster.settle()
        return answer

    def get(self, path: str, **query: str) -> Obj:
        return self.answer("GET", path, query=query).body

    def patch(self, path: str, body: Any, *, merge: bool = False, **query: str) -> Obj:
        kind = MERGE_PATCH if merge else STRATEGIC_PATCH
        return self.answer("PATCH", path, body, query=query, content_type=kind).body

    def create(self, path: str, body: Obj, **query: str) -> Obj:
        return self.answer("POST", path, body, query=query).body


def deployment(name: str, image: str = "nginx:1.25", replicas: int = 1, **container: Any) -> Obj:
    """A small Deployment with one container `app`."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "app", "image": image, **container}]},
            },
        },
    }


DEPLOYMENTS = "/apis/apps/v1/namespaces/shop/deployments"
PODS = "/api/v1/namespaces/shop/pods"
CONFIG_MAPS = "/api/v1/namespaces/shop/configmaps"
EVENTS = "/api/v1/namespaces/shop/events"
