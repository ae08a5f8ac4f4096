"""Reads about the cluster as a whole: version, cluster-info, api-resources, auth can-i."""

from typing import Any

from knowledge.diagnosis.fields import rows, sub, texts
from protocol.commands import CommandStatus
from protocol.kubectl.calls import ApiResourcesCall, CanICall, ClusterInfoCall, VersionCall
from runner.commands.answer import Answer, Refusal
from runner.commands.ask import Ask
from runner.commands.get import dump
from runner.commands.render import columns
from runner.kube.client import KubeClient


async def version(call: VersionCall, ask: Ask) -> Answer:
    found = await ask.client.get("/version")
    if call.output in ("json", "yaml"):
        return Answer(text=dump({"serverVersion": found}, call.output))
    return Answer(text=f"Server Version: {found.get('gitVersion', '?')} ({found.get('platform', '')})\n")


async def cluster_info(_: ClusterInfoCall, ask: Ask) -> Answer:
    """The address is shown as far as it says where; it is no secret, and credentials are never in it."""
    lines = [f"Kubernetes control plane is running at {ask.client.access.server}"]
    services = await ask.objects_or_none("Service", ("kube-system",), labels="kubernetes.io/cluster-service=true")
    for service in services or []:
        name = service["metadata"]["name"]
        path = f"/api/v1/namespaces/kube-system/services/{name}/proxy"
        lines.append(f"{name} is running at {ask.client.access.server}{path}")
    return Answer(text="\n".join(lines) + "\n")


async def api_resources(call: ApiResourcesCall, ask: Ask) -> Answer:
    found = [
        row
        for row in await ask.discovery.resources()
        if (call.namespaced is None or row.namespaced == call.namespaced)
        and (call.api_group is None or row.group == call.api_group)
    ]
    if call.output == "name":
        return Answer(text="".join(f"{row.full_name}\n" for row in sorted(found, key=lambda r: r.full_name)))
    headers = ["Name", "ShortNames", "APIVersion", "Namespaced", "Kind"]
    if call.output == "wide":
        headers.append("Verbs")
    table: list[list[Any]] = []
    for row in sorted(found, key=lambda r: (r.group, r.plural)):
        line: list[Any] = [row.plural, ",".join(row.short_names), row.api_version, row.namespaced, row.kind]
        table.append([*line, ",".join(row.verbs)] if call.output == "wide" else line)
    missing = ask.discovery.incomplete
    cut = f"the servers of {', '.join(missing)} did not answer" if missing else ""
    return Answer(text=columns(headers, table), cut=cut, empty=not found)


async def can_i(call: CanICall, ask: Ask) -> Answer:
    """May the runner itself do this? Its answer is about its service account, not about the asker."""
    namespace = "" if call.all_namespaces else call.namespace or ask.client.access.namespace
    if ask.scope.namespaces is not None and namespace not in ask.scope.namespaces:
        raise Refusal(CommandStatus.DENIED, "Outside of what you may see here: name one of your namespaces with -n.")
    if call.list_all:
        return await _rules(ask, namespace)
    if call.resource is None:
        raise Refusal(CommandStatus.INVALID, "auth can-i needs a verb and a resource, such as: auth can-i list pods")
    resource = await ask.resource(call.resource.type)
    status = await review(
        ask.client,
        verb=call.action,
        group=resource.group,
        resource=resource.plural,
        subresource=call.subresource,
        namespace=namespace if resource.namespaced else "",
        name=call.resource.name,
    )
    reason = str(status.get("reason") or "")
    word = "yes" if status.get("allowed") else "no"
    return Answer(text=f"{word}{f' - {reason}' if reason and word == 'no' else ''}\n")


async def review(
    client: KubeClient, *, verb: str, group: str, resource: str, namespace: str, subresource: str = "", name: str = ""
) -> dict[str, Any]:
    """The status of a SelfSubjectAccessReview for the runner's own account. Raises KubeError."""
    attributes = {
        "verb": verb,
        "group": group,
        "resource": resource,
        "namespace": namespace,
        "subresource": subresource,
        "name": name,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
    answer = await client.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
    return dict(sub(answer, "status"))


async def _rules(ask: Ask, namespace: str) -> Answer:
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace or "default"},
    }
    answer = await ask.client.post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", body)
    table: list[list[Any]] = []
    for rule in rows(answer, "status", "resourceRules"):
        groups = rule.get("apiGroups") or [""]
        for resource in texts(rule, "resources"):
            names = ["" if group == "" else f".{group}" for group in groups]
            table.extend(
                [f"{resource}{name}", f"[{' '.join(rule.get('resourceNames') or [])}]", f"[{' '.join(rule['verbs'])}]"]
                for name in names
            )
    return Answer(text=columns(["Resources", "Resource Names", "Verbs"], table), empty=not table)
