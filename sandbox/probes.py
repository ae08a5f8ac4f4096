"""What probes of a container find: does anything answer there, and how does the kubelet say that it does not."""

from sandbox.objects import Obj, number, rows, sub, text


def answers(container: Obj, probe: Obj) -> bool:
    """Does the container listen where the probe asks? One that declares no ports listens anywhere; exec always answers."""
    port = port_of(container, probe)
    declared = [number(row, "containerPort") for row in rows(container, "ports")]
    return not port or not declared or port in declared


def port_of(container: Obj, probe: Obj) -> int:
    """The number of the port that the probe asks, 0 if it asks none; a name that is not declared is -1."""
    for kind in ("httpGet", "tcpSocket", "grpc"):
        port = sub(probe, kind).get("port")
        if isinstance(port, int):
            return port
        if isinstance(port, str):
            named = (number(row, "containerPort") for row in rows(container, "ports") if text(row, "name") == port)
            return next(named, -1)
    return 0


def refused(word: str, container: Obj, probe: Obj, ip: str) -> str:
    """The kubelet's message about a probe of a port where nothing listens. `word` is Readiness or Liveness."""
    port = port_of(container, probe)
    dial = f"dial tcp {ip}:{port}: connect: connection refused"
    if "httpGet" in probe:
        path, scheme = text(probe, "httpGet", "path") or "/", (text(probe, "httpGet", "scheme") or "HTTP").lower()
        return f'{word} probe failed: Get "{scheme}://{ip}:{port}{path}": {dial}'
    return f"{word} probe failed: {dial}"


def unready(probe: Obj, why: str) -> str:
    """The message about a readiness probe that is answered, but not well; `why` replaces the usual answer."""
    if why:
        return f"Readiness probe failed: {why}"
    if "httpGet" in probe:
        return "Readiness probe failed: HTTP probe failed with statuscode: 503"
    return "Readiness probe failed: command failed with exit code 1"
