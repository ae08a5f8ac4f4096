"""`kubectl top`: metrics.k8s.io, with kubectl's columns, and a clear word when there is no metrics-server."""

from knowledge.diagnosis.fields import sub
from knowledge.diagnosis.quantity import parse
from protocol.commands import CommandStatus
from protocol.kubectl.calls import TopCall
from runner.commands.answer import Answer, Refusal
from runner.commands.ask import Ask, Obj
from runner.commands.render import columns
from runner.kube.errors import KubeError
from runner.kube.resources import NODE, Resource

METRICS = {
    "pods": Resource("metrics.k8s.io", "v1beta1", "pods", "PodMetrics", namespaced=True),
    "nodes": Resource("metrics.k8s.io", "v1beta1", "nodes", "NodeMetrics", namespaced=False),
}
_NO_METRICS = (
    "error: Metrics API not available: the cluster has no metrics-server, or it is not ready. "
    "Install metrics-server, or ask Prometheus for container_memory_working_set_bytes."
)
_MIB = 1024 * 1024


async def top(call: TopCall, ask: Ask) -> Answer:
    resource = METRICS[call.what]
    spaces = ask.namespaces(resource, call.namespace, all_namespaces=call.all_namespaces)
    items = await _items(call, ask, resource, spaces)
    if not items:
        where = "" if call.all_namespaces or call.what == "nodes" else f" in {spaces[0]} namespace"
        return Answer(text=f"No resources found{where}.\n", empty=True)
    rows = await _node_rows(ask, items) if call.what == "nodes" else _pod_rows(call, items)
    at = {"cpu": -2, "memory": -1}.get(call.sort_by)
    keyed = sorted(rows, key=lambda row: row[1][at], reverse=True) if at is not None else sorted(rows, key=lambda row: row[0])
    return Answer(text=columns(_headers(call), [row[0] for row in keyed]))


async def _items(call: TopCall, ask: Ask, resource: Resource, spaces: tuple[str, ...]) -> list[Obj]:
    try:
        if call.name:
            return [await ask.object(resource, spaces[0], call.name)]
        return await ask.objects(resource, spaces, labels=call.label_selector)
    except KubeError as error:
        if error.status == 503 or (error.status == 404 and not (call.name and await _served(ask))):
            raise Refusal(CommandStatus.UNAVAILABLE, _NO_METRICS) from error
        raise


async def _served(ask: Ask) -> bool:
    resources = await ask.discovery.resources(at_most_s=10)
    return any(row.group == "metrics.k8s.io" for row in resources)


def _headers(call: TopCall) -> list[str]:
    if call.what == "nodes":
        return ["Name", "CPU(cores)", "CPU(%)", "Memory(bytes)", "Memory(%)"]
    names = ["Pod", "Name"] if call.containers else ["Name"]
    return [*(["Namespace"] if call.all_namespaces else []), *names, "CPU(cores)", "Memory(bytes)"]


Row = tuple[list[str], tuple[float, float]]


def _pod_rows(call: TopCall, items: list[Obj]) -> list[Row]:
    rows: list[Row] = []
    for item in items:
        metadata = item["metadata"]
        head = [metadata["namespace"]] if call.all_namespaces else []
        containers = [
            (row["name"], _amount(row["usage"].get("cpu")), _amount(row["usage"].get("memory"))) for row in item["containers"]
        ]
        if call.containers:
            rows.extend(_row([*head, metadata["name"], name], cpu, memory) for name, cpu, memory in containers)
        else:
            rows.append(_row([*head, metadata["name"]], sum(c for _, c, _ in containers), sum(m for _, _, m in containers)))
    return rows


def _row(names: list[str], cpu: float, memory: float) -> Row:
    return [*names, f"{round(cpu * 1000)}m", f"{int(memory // _MIB)}Mi"], (cpu, memory)


async def _node_rows(ask: Ask, items: list[Obj]) -> list[Row]:
    nodes = {node["metadata"]["name"]: node for node in await ask.objects_or_none(NODE, ("",)) or []}
    rows: list[Row] = []
    for item in items:
        name = item["metadata"]["name"]
        cpu, memory = _amount(item["usage"].get("cpu")), _amount(item["usage"].get("memory"))
        room = sub(nodes.get(name) or {}, "status", "allocatable")
        cells = [
            name,
            f"{round(cpu * 1000)}m",
            _percent(cpu, _amount(room.get("cpu"))),
            f"{int(memory // _MIB)}Mi",
            _percent(memory, _amount(room.get("memory"))),
        ]
        rows.append((cells, (cpu, memory)))
    return rows


def _percent(used: float, room: float) -> str:
    return f"{int(used * 100 / room)}%" if room else "<unknown>"


def _amount(text: object) -> float:
    return parse(text) or 0.0
