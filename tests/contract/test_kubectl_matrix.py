"""A day with kubectl: some fifty commands in the order of a shift, each with the exit code and the words it must have.

The rows share one namespace and build on each other. {pod}, {node} and {ns} are filled in; what an older server says
differently is an alternative in the pattern, never a branch.
"""

import json
import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.contract.cluster import Cluster, Namespace, config_map, deployment

pytestmark = pytest.mark.contract

PAYMENTS = '{"spec":{"template":{"spec":{"containers":[{"name":"app","resources":{"limits":{"memory":"1Gi"}}}]}}}}'
CONTAINERS = "jsonpath={.spec.template.spec.containers}"


def c2(**data: str) -> str:
    return json.dumps(config_map("c2", **data))


@dataclass(frozen=True)
class Line:
    """One command. `says` must be found in what it prints; `code` is its exit code."""

    name: str
    args: str
    says: str = ""
    code: int = 0
    stdin: str | None = None


LINES = (
    Line("version", "version", r"Server Version: "),
    Line("api-resources", "api-resources", r"deployments\s+deploy\s+apps/v1\s+true\s+Deployment"),
    Line("get-pods", "get pods", r"NAME +READY +STATUS +RESTARTS +AGE"),
    Line("get-pods-wide", "get pods -o wide", r"NODE +NOMINATED NODE"),
    Line("get-pods-selector", "get pods -l app=web", r"^web-\S+ +1/1 +Running"),
    Line("get-fieldselector", "get pods --field-selector status.phase=Pending", r"No resources found in {ns} namespace"),
    Line("get-A", "get pods -A", r"NAMESPACE +NAME +READY"),
    Line("get-deploy", "get deploy", r"^web +3/3 +3 +3 "),
    Line("get-po,deploy", "get po,deploy", r"^deployment.apps/web "),
    Line("get-one-json", "get deploy web -o jsonpath={.spec.replicas}", r"^3$"),
    Line("get-nodes", "get nodes", r"^\S+ +Ready"),
    Line("get-events", "get events", r"LAST SEEN +TYPE +REASON +OBJECT +MESSAGE"),
    Line("get-missing", "get pod nope", r'\(NotFound\): pods "nope" not found', 1),
    Line("describe-pod", "describe {pod}", r"^Controlled By: +ReplicaSet/web-"),
    Line("describe-deploy", "describe deploy web", r"^Replicas: +3 desired \| 3 updated \| 3 total \| 3 available"),
    Line("logs", "logs {pod}"),
    Line("logs-tail", "logs {pod} --tail=1 --since=1h"),
    Line("logs-previous", "logs {pod} -p", r'previous terminated container "app" in pod', 1),
    Line("top-pods", "top pods", r"NAME +CPU\(cores\) +MEMORY\(bytes\)"),
    Line("scale", "scale deploy/web --replicas=5", r"deployment.apps/web scaled"),
    Line("get-after-scale", "get deploy web -o jsonpath={.spec.replicas}", r"^5$"),
    Line("rollout-restart", "rollout restart deploy/web", r"deployment.apps/web restarted"),
    Line("after-restart", "get deploy web -o jsonpath={.spec.template.metadata.annotations}", r"kubernetes.io/restartedAt"),
    Line("rollout-status", "rollout status deploy/web --timeout=50s", r'deployment "web" successfully rolled out'),
    Line("rollout-history", "rollout history deploy/web", r"^1 +<none>\n2 +<none>"),
    Line("rollout-undo", "rollout undo deploy/web", r"deployment.apps/web rolled back"),
    Line("patch-strategic", f"patch deploy payments -p {PAYMENTS}", r"deployment.apps/payments patched"),
    Line("after-strategic", f"get deploy payments -o {CONTAINERS}", r'"image":"acme/payments:2".*"limits":\{"memory":"1Gi"'),
    Line("patch-merge", 'patch deploy crash --type=merge -p {"metadata":{"labels":{"a":"b"}}}', r" patched"),
    Line("patch-merge-null", 'patch deploy crash --type=merge -p {"metadata":{"labels":{"a":null}}}', r"patched"),
    Line("after-null", "get deploy crash -o jsonpath={.metadata.labels}", r'^\{"app":"crash"\}$'),
    Line("pod-after-controller", "get pods -l app=api", r"^api-"),
    Line("patch-json", 'patch deploy crash --type=json -p [{"op":"replace","path":"/spec/replicas","value":3}]', r"patched"),
    Line("set-image", "set image deploy/api app=acme/u:2", r"deployment.apps/api image updated"),
    Line("after-set-image", f"get deploy api -o {CONTAINERS}", r'"image":"acme/u:2"'),
    Line("label", "label {pod} x=y", r" labeled"),
    Line("annotate", "annotate {pod} x=y", r" annotated"),
    Line("create-cm", "create configmap c1 --from-literal=a=b", r"configmap/c1 created"),
    Line("apply-new", "apply -f -", r"configmap/c2 created", stdin=c2(k="1")),
    Line("apply-again", "apply -f -", r"configmap/c2 configured", stdin=c2(k="2")),
    Line("apply-unchanged", "apply -f -", r"configmap/c2 unchanged", stdin=c2(k="2")),
    Line("apply-novalidate", "apply --validate=false -f -", r"configmap/c2 unchanged", stdin=c2(k="2")),
    Line("apply-serverside", "apply --server-side -f -", r"configmap/c2 serverside-applied", stdin=c2(k="3")),
    Line("replace", "replace --validate=false -f -", r"configmap/c2 replaced", stdin=c2(z="4")),
    Line("after-replace", "get cm c2 -o jsonpath={.data}", r'^\{"z":"4"\}$'),
    Line("cordon", "cordon {node}", r" cordoned"),
    Line("uncordon", "uncordon {node}", r" uncordoned"),
    Line("auth-can-i", "auth can-i delete pods", r"^yes$"),
    Line("auth-can-i-list", "auth can-i --list", r"Resources +Non-Resource URLs +Resource Names +Verbs"),
    Line("explain", "explain pod.spec", r"^(?:RESOURCE|FIELD): spec <(?:Object|PodSpec)>[\s\S]*\bcontainers\s+<\[\]"),
    Line("exec", "exec {pod} -- ls", r"\S", 1),
    Line("delete-pod", "delete {pod} --wait=false", r" deleted"),
    Line("delete-wait", "delete deploy crash --timeout=20s", r'deployment.apps "crash" deleted'),
    Line("delete-missing", "delete pod nope", r'pods "nope" not found', 1),
    Line("watch", "get pods --watch --request-timeout=1", r"NAME +READY"),
    Line("dry-run-server", "scale deploy/web --replicas=9 --dry-run=server", r"deployment.apps/web scaled"),
    Line("after-dryrun", "get deploy web -o jsonpath={.spec.replicas}", r"^5$"),
    Line("metadata-after", "get cm c2 -o jsonpath={.metadata}", r'"resourceVersion":"\d+"'),
)  # fmt: skip


@pytest.fixture(scope="module")
def filled(cluster: Cluster, namespace: Namespace) -> Generator[dict[str, str]]:
    namespace.apply(
        deployment("web", replicas=3),
        deployment("payments", image="acme/payments:2", resources={"limits": {"memory": "256Mi"}}),
        deployment("crash", image="acme/c:1"),
        deployment("api", image="acme/u:1"),
    )
    for name in ("web", "payments", "crash", "api"):
        namespace.rolled_out(f"deployment/{name}")
    node = cluster.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}").out
    yield {"node": node, "ns": namespace.name}
    cluster.kubectl("uncordon", node)


@pytest.mark.parametrize("line", LINES, ids=[line.name for line in LINES])
def test_kubectl(namespace: Namespace, filled: dict[str, str], line: Line) -> None:
    words: dict[str, Any] = dict(filled)
    if "{pod}" in line.args:
        pods = namespace.kubectl("get", "pods", "-l", "app=web", "--field-selector=status.phase=Running", "-o", "name").out
        words["pod"] = pods.split()[0]
    args = [_fill(word, words) for word in line.args.split(" ")]
    done = namespace.kubectl(*args, stdin=line.stdin, check=False)
    said = done.out + done.err
    assert done.code == line.code, said
    assert re.search(line.says.replace("{ns}", namespace.name), said, re.MULTILINE), said


def _fill(word: str, words: dict[str, str]) -> str:
    for name, value in words.items():
        word = word.replace(f"{{{name}}}", value)
    return word
