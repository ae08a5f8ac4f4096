"""The description of a pod, and of the pod template that workloads carry. Pure."""

from typing import Any, cast

from knowledge.diagnosis.fields import Obj, rows, sub
from runner.commands.lines import Lines, dig
from runner.commands.render import labels_text, parse_time


def describe_pod(pod: Obj, out: Lines) -> None:
    spec, status = sub(pod, "spec"), sub(pod, "status")
    out.fields(
        [
            ("Priority", spec.get("priority", 0)),
            ("Service Account", spec.get("serviceAccountName")),
            ("Node", "/".join(str(p) for p in (spec.get("nodeName"), status.get("hostIP")) if p)),
            ("Start Time", when(status.get("startTime"))),
        ]
    )
    out.map("Labels", pod["metadata"].get("labels"))
    out.map("Annotations", pod["metadata"].get("annotations"))
    out.field("Status", pod_status(pod))
    out.fields([("Reason", status.get("reason")), ("Message", status.get("message"))], skip_empty=True)
    out.field("IP", status.get("podIP"))
    out.field("Controlled By", controlled_by(pod))
    states = {row["name"]: row for part in ("initContainerStatuses", "containerStatuses") for row in rows(status, part)}
    for title, key in (("Init Containers", "initContainers"), ("Containers", "containers")):
        if spec.get(key):
            out.heading(title)
            for container in rows(spec, key):
                describe_container(container, out, states.get(container["name"]))
    conditions = [
        [row.get("type"), row.get("status"), row.get("reason") or "", row.get("message") or ""]
        for row in rows(status, "conditions")
    ]
    out.table("Conditions", ["Type", "Status", "Reason", "Message"], conditions)
    describe_volumes(spec, out)
    out.field("QoS Class", status.get("qosClass"))
    out.field("Node-Selectors", labels_text(spec.get("nodeSelector")))
    out.field("Tolerations", "\n".join(toleration(row) for row in rows(spec, "tolerations")))


def describe_template(template: Obj, out: Lines) -> None:
    spec = sub(template, "spec")
    out.heading("Pod Template")
    out.field("Labels", labels_text(dig(template, "metadata", "labels")), 1)
    out.field("Annotations", labels_text(dig(template, "metadata", "annotations")), 1)
    out.field("Service Account", spec.get("serviceAccountName"), 1)
    for title, key in (("Init Containers", "initContainers"), ("Containers", "containers")):
        if spec.get(key):
            out.heading(title, 1)
            for container in rows(spec, key):
                describe_container(container, out, None, depth=2)
    describe_volumes(spec, out, 1)
    out.field("Node-Selectors", labels_text(spec.get("nodeSelector")), 1)


def describe_container(container: Obj, out: Lines, state: Obj | None, depth: int = 1) -> None:
    out.heading(str(container["name"]), depth)
    inner = depth + 1
    ports = ", ".join(f"{row.get('containerPort')}/{row.get('protocol', 'TCP')}" for row in rows(container, "ports"))
    out.fields([("Image", container.get("image")), ("Ports", ports)], inner)
    out.fields([("Command", _words(container.get("command"))), ("Args", _words(container.get("args")))], inner, skip_empty=True)
    if state is not None:
        out.field("State", state_words(sub(state, "state")), inner)
        if state.get("lastState"):
            out.field("Last State", state_words(sub(state, "lastState")), inner)
        out.fields([("Ready", state.get("ready")), ("Restart Count", state.get("restartCount", 0))], inner)
    for part in ("limits", "requests"):
        values = dig(container, "resources", part)
        if values:
            out.field(part.capitalize(), labels_text(values, "\n"), inner)
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(probe):
            out.field(probe.removesuffix("Probe").capitalize(), probe_words(container[probe]), inner)
    sources = "\n".join(_env_from(row) for row in rows(container, "envFrom"))
    if sources:
        out.field("Environment Variables from", sources, inner)
    out.field("Environment", "\n".join(_env(row) for row in rows(container, "env")), inner)
    out.field("Mounts", "\n".join(_mount(row) for row in rows(container, "volumeMounts")), inner)


def describe_volumes(spec: Obj, out: Lines, depth: int = 0) -> None:
    if not spec.get("volumes"):
        out.field("Volumes", None, depth)
        return
    out.heading("Volumes", depth)
    for row in rows(spec, "volumes"):
        source = next((key for key in row if key != "name"), "")
        detail = sub(row, source)
        name = next((detail[k] for k in ("name", "secretName", "claimName", "path") if detail.get(k)), "")
        optional = " (optional)" if dig(detail, "optional") else ""
        out.field(str(row["name"]), f"{source} {name}{optional}".strip(), depth + 1)


def pod_status(pod: Obj) -> str:
    if pod["metadata"].get("deletionTimestamp"):
        return f"Terminating (since {when(pod['metadata']['deletionTimestamp'])})"
    return str(dig(pod, "status", "phase") or "Unknown")


def state_words(state: Obj) -> str:
    """`Terminated, reason OOMKilled, exit code 137, started …, finished …`, a fact a line."""
    if not state:
        return "Waiting"
    name = next(iter(state))
    detail = sub(state, name)
    lines = [name.capitalize()]
    for label, key in (("Reason", "reason"), ("Message", "message"), ("Exit Code", "exitCode"), ("Signal", "signal")):
        if detail.get(key) not in (None, ""):
            lines.append(f"  {label}: {detail[key]}")
    for label, key in (("Started", "startedAt"), ("Finished", "finishedAt")):
        if detail.get(key):
            lines.append(f"  {label}: {when(detail[key])}")
    return "\n".join(lines)


def probe_words(probe: Obj) -> str:
    if probe.get("httpGet"):
        get = probe["httpGet"]
        what = (
            f"http-get {str(get.get('scheme', 'HTTP')).lower()}://{get.get('host', '')}:{get.get('port')}{get.get('path', '/')}"
        )
    elif probe.get("exec"):
        what = f"exec {_words(probe['exec'].get('command'))}"
    elif probe.get("tcpSocket"):
        what = f"tcp-socket :{probe['tcpSocket'].get('port')}"
    else:
        what = f"grpc :{dig(probe, 'grpc', 'port')}"
    delay, timeout, period = probe.get("initialDelaySeconds", 0), probe.get("timeoutSeconds", 1), probe.get("periodSeconds", 10)
    counts = f"#success={probe.get('successThreshold', 1)} #failure={probe.get('failureThreshold', 3)}"
    return f"{what} delay={delay}s timeout={timeout}s period={period}s {counts}"


def controlled_by(obj: Obj) -> str:
    table = rows(obj, "metadata", "ownerReferences")
    return next((f"{row.get('kind')}/{row.get('name')}" for row in table if row.get("controller")), "")


def when(text: Any) -> str:
    """`Mon, 02 Jan 2006 15:04:05 +0000`, as kubectl writes it."""
    moment = parse_time(text)
    return moment.strftime("%a, %d %b %Y %H:%M:%S %z") if moment else ""


def toleration(row: Obj) -> str:
    key = row.get("key", "")
    text = f"{key}={row['value']}" if row.get("value") else key
    effect = f":{row['effect']}" if row.get("effect") else ""
    exists = " op=Exists" if row.get("operator") == "Exists" else ""
    seconds = f" for {row['tolerationSeconds']}s" if row.get("tolerationSeconds") is not None else ""
    return f"{text}{effect}{exists}{seconds}"


def _words(parts: Any) -> str:
    return " ".join(str(part) for part in cast(list[Any], parts)) if isinstance(parts, list) else ""


def _env(row: Obj) -> str:
    source = row.get("valueFrom")
    if not source:
        return f"{row.get('name')}: {row.get('value', '')}"
    for key, words in (("secretKeyRef", "secret"), ("configMapKeyRef", "config map")):
        if source.get(key):
            ref = source[key]
            optional = "true" if ref.get("optional") else "false"
            return f"{row['name']}: <set to the key '{ref.get('key')}' in {words} '{ref.get('name')}'> Optional: {optional}"
    field = dig(source, "fieldRef", "fieldPath") or dig(source, "resourceFieldRef", "resource")
    return f"{row['name']}: ({field})"


def _env_from(row: Obj) -> str:
    for key, words in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
        if row.get(key):
            return f"{row[key].get('name')} {words} Optional: {'true' if row[key].get('optional') else 'false'}"
    return "?"


def _mount(row: Obj) -> str:
    mode = "ro" if row.get("readOnly") else "rw"
    sub_path = f',path="{row["subPath"]}"' if row.get("subPath") else ""
    return f"{row.get('mountPath')} from {row.get('name')} ({mode}{sub_path})"
