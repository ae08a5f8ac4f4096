"""The endpoints under /_sandbox, for the admin token: scenarios, API faults, and switches for tests.

GET  scenarios, scenarios/<id>                 what there is, how it stands
POST scenarios/<id>/break, .../heal            now
POST faults {match, status, delay, count}      the API server's own errors; DELETE faults ends them
POST logs {workload, lines?}                   lines that its containers write now; without lines hostile ones
POST load {workload, cores, for}               CPU that its pods share for that long; 0 cores end it
POST git {app, apply} or {app, patch}          a commit to the repository of a GitOps application
POST metrics-server {present}, prometheus {present}
POST forget                                    drop the watch log: older versions are then 410 Gone
"""

from typing import TYPE_CHECKING, Any, cast

from sandbox.clock import duration
from sandbox.controllers.autoscalers import LOOK_EVERY
from sandbox.errors import ApiError, bad_request
from sandbox.objects import Obj, text, texts
from sandbox.runtime import Load

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
        case "POST", ["load"]:
            return _load(sandbox, wanted)
        case "POST", ["git"]:
            sandbox.scenarios.stage.commit(wanted)
            sandbox.cluster.settle()
            return {"applications": sorted(sandbox.gitops.applications)}
        case "POST", ["metrics-server"]:
            sandbox.api.metrics = sandbox.autoscalers.metrics = bool(wanted.get("present", True))
            return {"present": sandbox.api.metrics}
        case "POST", ["prometheus"]:
            sandbox.series.available = bool(wanted.get("present", True))
            return {"present": sandbox.series.available}
        case "POST", ["forget"]:
            sandbox.cluster.store.forget_log()
            return {"oldest": sandbox.cluster.store.oldest_version()}
        case _:
            raise ApiError(404, f"no admin endpoint {method} /_sandbox/{'/'.join(parts)}")


def _load(sandbox: "Sandbox", wanted: Obj) -> Obj:
    try:
        cores, seconds = float(wanted.get("cores", 0)), duration(str(wanted.get("for", "10m")))
    except ValueError as error:
        raise bad_request(f"not a load: {error}") from error
    namespace, workload = text(wanted, "namespace") or "shop", text(wanted, "workload")
    sandbox.kubelet.carry(Load(namespace, workload, cores, sandbox.cluster.clock.now + seconds))
    sandbox.kubelet.share_loads(LOOK_EVERY)
    return {"containers": len(sandbox.kubelet.traces_of(namespace, workload)), "cores": cores}
