"""How long a diagnosis takes: the whole cluster and one workload, at 100, 1,000 and 5,000 pods.

    python tests/bench/bench_diagnosis.py

Prints a table and writes tests/bench/results/diagnosis.json. The cluster has deployments of ten pods with Services and
ConfigMaps, and one workload in twenty fails; objects are as a live cache would hold them. `view` is the indexing of raw
objects, which every question pays unless the view is kept. Times are CPU milliseconds, medians of five, so that other
processes of the machine do not count.
"""

import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from knowledge.diagnosis import diagnose
from protocol.commands import Diagnose
from tests.unit.knowledge.shop import crashing, waiting
from tests.unit.knowledge.world import World, ago, container

RESULTS = Path(__file__).parent / "results"
PODS_EACH = 10


def cluster(pods: int) -> World:
    world = World()
    for n in range(max(3, pods // 100)):
        world.node(f"node-{n}")
    for n in range(pods // PODS_EACH):
        namespace, name = f"team-{n % 20}", f"service-{n}"
        world.configmap(f"{name}-config", {"NEXT_URL": f"http://service-{max(0, n - 20)}:8080"}, namespace=namespace)
        deployment = world.deployment(
            name, container(name, envFrom=[{"configMapRef": {"name": f"{name}-config"}}]), namespace=namespace, replicas=0
        )
        deployment["spec"]["replicas"] = PODS_EACH
        for i in range(PODS_EACH):
            pod = world.pod(deployment, 0)
            pod["metadata"]["name"] = f"{name}-7d9f8b6c5d-{i:05x}"
            if n % 40 == 7:
                crashing(pod, 137, "OOMKilled")
                world.event(pod, "BackOff", "Back-off restarting failed container", first=ago(minutes=20))
            elif n % 40 == 27:
                waiting(pod, "ImagePullBackOff", f'Back-off pulling image "registry.example/{name}:9": not found')
    return world


def measured(work: Callable[[], object], times: int) -> float:
    spans: list[float] = []
    for _ in range(times):
        start = time.process_time()
        work()
        spans.append(time.process_time() - start)
    return round(median(spans) * 1000, 1)


def import_cost() -> dict[str, float]:
    """Import of knowledge.diagnosis in a fresh process, over what protocol (and with it pydantic) costs."""
    code = (
        "import time, resource; import protocol.commands;"
        "rss = lambda: int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize() / 2**20;"
        "m = rss(); a = time.process_time(); import knowledge.diagnosis;"
        "print((time.process_time() - a) * 1000, rss() - m)"
    )
    out = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(5)
    ]
    return {
        "import_ms": round(median(float(row[0]) for row in out), 1),
        "import_mib": round(median(float(row[1]) for row in out), 1),
    }


def main() -> None:
    rows: list[dict[str, float]] = []
    for pods in (100, 1000, 5000):
        world = cluster(pods)
        view = world.view()
        one = Diagnose(words=("service-7",))
        found = diagnose(view, Diagnose())
        rows.append(
            {
                "pods": pods,
                "objects": len(world.objects),
                "root_causes": len(found.root_causes),
                "view_ms": measured(world.view, 5),
                "whole_ms": measured(lambda world=world: diagnose(world.view(), Diagnose()), 5),
                "one_ms": measured(lambda world=world, one=one: diagnose(world.view(), one), 5),
                "one_warm_ms": measured(lambda view=view, one=one: diagnose(view, one), 5),
            }
        )
    names = ("pods", "objects", "root_causes", "view_ms", "whole_ms", "one_ms", "one_warm_ms")
    print(" ".join(f"{name:>11}" for name in names))
    for row in rows:
        print(" ".join(f"{row[name]:>11}" for name in names))
    imports = import_cost()
    peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(f"import of knowledge.diagnosis after protocol: {imports['import_ms']} ms, {imports['import_mib']} MiB")
    print(f"peak memory of this run: {peak} MiB")
    RESULTS.mkdir(exist_ok=True)
    result = {
        "machine": platform.platform(),
        "python": platform.python_version(),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": rows,
        **imports,
    }
    (RESULTS / "diagnosis.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
