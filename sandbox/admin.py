"""The endpoints under /_sandbox, for the admin token: scenarios, API faults, and switches for tests.

GET  scenarios, scenarios/<id>                 what there is, how it stands
POST scenarios/<id>/break, .../heal            now
POST faults {match, status, delay, count}      the API server's own errors; DELETE faults ends them
POST logs {workload, lines?}                   lines that its containers write now; without lines hostile ones
POST metrics-server {present}, prometheus {present}
POST forget                                    drop the watch log: older versions are then 410 Gone
"""

from typing import TYPE_CHECKING, Any, cast

from sandbox.errors import ApiError
from sandbox.objects import Obj, text, texts

if TYPE_CHECKING:
    from sandbox.world import Sandbox


def handle(sandbox: "Sandbox", method: str, parts: list[str], body: Any) -> Any:
    """Answer one admin request as a JSON value. Raises ApiError 400 and 404."""
    wanted = cast(Obj, body) if isinstance(body, dict) else {}
    match method, parts:
        case "GET", ["scenarios"]:
            return {"scenarios": [sandbox.scenarios.describe(name) for name in sandbox.scenarios.names()]}
        case "GET", ["scenarios", name]:
            return sandbox.scenarios.status(name)
        case "POST", ["scenarios", name, "break"]:
            sandbox.scenarios.start(name)
            return sandbox.scenarios.status(name)
        case "POST", ["scenarios", name, "heal"]:
            sandbox.scenarios.heal(name)
            return sandbox.scenarios.status(name)
        case "POST", ["faults"]:
            sandbox.faults.add(wanted)
            return {"faults": len(sandbox.faults.active)}
        case "DELETE", ["faults"]:
            sandbox.faults.clear()
            return {"faults": 0}
        case "POST", ["logs"]:
            lines = texts(wanted, "lines") or sandbox.scenarios.hostile_lines()
            namespace = text(wanted, "namespace") or "shop"
            return {"containers": sandbox.kubelet.write_log(namespace, text(wanted, "workload"), lines), "lines": lines}
        case "POST", ["metrics-server"]:
            sandbox.api.metrics = bool(wanted.get("present", True))
            return {"present": sandbox.api.metrics}
        case "POST", ["prometheus"]:
            sandbox.series.available = bool(wanted.get("present", True))
            return {"present": sandbox.series.available}
        case "POST", ["forget"]:
            sandbox.cluster.store.forget_log()
            return {"oldest": sandbox.cluster.store.oldest_version()}
        case _:
            raise ApiError(404, f"no admin endpoint {method} /_sandbox/{'/'.join(parts)}")
