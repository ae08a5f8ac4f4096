"""One worker a pod: pulls, starts, probes, kills and restarts its containers, and tells about it.

Nothing runs. What a container does is read from its Program; every wait is a timer of the clock.
A `turn` number on each container makes timers of an earlier life harmless.
"""

import hashlib
from collections.abc import Callable

from sandbox import probes
from sandbox.clock import rfc3339
from sandbox.environment import environment, missing_config, missing_volume
from sandbox.machines import Machines
from sandbox.objects import Obj, controller_of, labels_of, name_of, namespace_of, number, rows, sub, text, uid_of
from sandbox.podstatus import ContainerState, status
from sandbox.programs import Facts, Outcome, Place, facts, outcome, split_image, unready_because
from sandbox.resources import NODE, POD
from sandbox.runtime import KEEP_RUNS, Run, Segment, Trace

MANAGER = "kubelet"
_FIRST_BACKOFF, _LAST_BACKOFF, _HEALTHY_AFTER = 10.0, 300.0, 600.0


class PodWorker:
    def __init__(self, machines: Machines, pod: Obj) -> None:
        self.machines, self.cluster = machines, machines.cluster
        self.key = namespace_of(pod), name_of(pod)
        self.uid, self.node = uid_of(pod), text(pod, "spec", "nodeName")
        self.place = Place(namespace_of(pod), labels_of(pod))
        self.alive, self.stopping = True, False
        self._blip_until, self._blip_why = 0.0, ""
        self.ip = machines.address()
        self.containers = [self._container(pod, c, True) for c in rows(pod, "spec", "initContainers")]
        self.containers += [self._container(pod, c, False) for c in rows(pod, "spec", "containers")]
        self.inits = [c for c in self.containers if c.init]
        self.mains = [c for c in self.containers if not c.init]
        if not self.inits:
            for c in self.mains:
                c.state = {"waiting": {"reason": "ContainerCreating"}}

    def _container(self, pod: Obj, spec: Obj, init: bool) -> ContainerState:
        image = text(spec, "image")
        owner = text(controller_of(pod), "name")
        workload = labels_of(pod).get("app") or labels_of(pod).get("app.kubernetes.io/name") or owner
        now = self.cluster.clock.now
        trace = Trace(
            *self.key, self.uid, text(spec, "name"), self.node, image, self.machines.catalogue.find(image),
            sub(spec, "resources"), labels_of(pod), workload, now,
        )  # fmt: skip
        self.machines.remember(trace, now)
        return ContainerState(spec, init, trace.program, trace)

    @property
    def frozen(self) -> bool:
        """Is the node out of reach? Then its kubelet neither hears nor says anything."""
        return self.node in self.machines.silent

    def thaw(self) -> None:
        """The node is back: report, and go on with what stood still."""
        for c in self.mains:
            if c.run is None and not c.done():
                c.turn += 1
                self._pull(c)
        self.push()

    def depends(self) -> bool:
        """Could a changed ConfigMap, Secret or Service matter to this pod?"""
        return any(c.program.upstreams or "CreateContainerConfigError" in str(c.state) for c in self.mains)

    def admit(self) -> None:
        self.push()
        self.mount(2.0)

    def look_again(self) -> None:
        """The pod or something it may depend on changed."""
        pod = self.pod()
        if pod is None or self.frozen:
            return
        wanted = {text(c, "name"): c for c in rows(pod, "spec", "containers")}
        for c in self.mains:
            spec = wanted.get(c.name, c.spec)
            if text(spec, "image") != c.image:
                message = f"Container {c.name} definition changed, will be restarted"
                c.spec, c.program = spec, self.machines.catalogue.find(text(spec, "image"))
                c.trace.program = c.program
                if c.run is not None:
                    self.say("Killing", message, c)
                    self._exited(c, Outcome(0, 143, "Error"))
                else:
                    c.turn += 1
                    self._pull(c)
            elif c.run is not None and self._note_facts(c):
                self._probe_in(c, 0.5)

    def pod(self) -> Obj | None:
        pod = self.cluster.store.get(POD, *self.key)
        return pod if pod is not None and uid_of(pod) == self.uid else None

    def push(self) -> None:
        pod = self.pod()
        if pod is None or not self.alive or self.frozen:
            return
        node = self.cluster.store.get(NODE, "", self.node) or {}
        host = next((str(a["address"]) for a in rows(node, "status", "addresses")), "10.1.0.1")
        body = status(pod, self.containers, self.cluster.clock.now, host, self.ip)
        self.cluster.set_status(POD, pod, body, MANAGER)

    def say(self, reason: str, message: str, c: ContainerState | None = None, *, warning: bool = False) -> None:
        pod = self.pod()
        if pod is not None and not self.frozen:
            self.cluster.event(
                pod, reason, message, component="kubelet", warning=warning,
                field=c.field_path if c else "", host=self.node,
            )  # fmt: skip

    def later(self, c: ContainerState, seconds: float, action: Callable[[], None]) -> None:
        turn = c.turn

        def run() -> None:
            if self.alive and c.turn == turn and not self.stopping and not self.frozen:
                action()

        self.cluster.clock.after(seconds, run)

    def mount(self, wait: float) -> None:
        pod = self.pod()
        if pod is None or self.stopping or not self.alive:
            return
        problem = missing_volume(self.cluster, pod)
        if problem:
            self.say("FailedMount", problem, warning=True)
            self.cluster.clock.after(wait, lambda: self.mount(min(wait * 2, 122.0)))
            return
        self._next()

    def _next(self) -> None:
        """Start the first init container that has not succeeded, or all the others."""
        waiting = next((c for c in self.inits if not c.done()), None)
        if waiting is not None:
            self._pull(waiting)
            return
        for c in self.mains:
            if c.run is None:
                c.state = {"waiting": {"reason": "ContainerCreating"}}
                self._pull(c)

    def _pull(self, c: ContainerState) -> None:
        known = (self.node, c.image) in self.machines.images
        if known and text(c.spec, "imagePullPolicy") != "Always":
            self.say("Pulled", f'Container image "{c.image}" already present on machine', c)
            self._configure(c)
            return
        self.say("Pulling", f'Pulling image "{c.image}"', c)
        self.later(c, 0.9, lambda: self._pulled(c))

    def _pulled(self, c: ContainerState) -> None:
        if not self.machines.catalogue.exists(c.image):
            self._pull_failed(c)
            return
        self.machines.images.add((self.node, c.image))
        c.pull_failures = 0
        size = 20_000_000 + int(hashlib.sha256(c.image.encode()).hexdigest()[:7], 16) % 90_000_000
        took = f"{600 + size % 299}ms"
        self.say(
            "Pulled",
            f'Successfully pulled image "{c.image}" in {took} ({took} including waiting). Image size: {size} bytes.',
            c,
        )
        self._configure(c)

    def _pull_failed(self, c: ContainerState) -> None:
        repository, tag = split_image(c.image)
        full = f"{repository}:{tag}" if "." in repository.split("/")[0] else f"docker.io/{repository}:{tag}"
        why = (
            f'rpc error: code = NotFound desc = failed to pull and unpack image "{full}": '
            f'failed to resolve reference "{full}": {full}: not found'
        )
        c.pull_failures += 1
        c.state = {"waiting": {"reason": "ErrImagePull", "message": why}}
        self.push()
        self.say("Failed", f'Failed to pull image "{c.image}": {why}', c, warning=True)
        self.say("Failed", "Error: ErrImagePull", c, warning=True)
        wait = min(_FIRST_BACKOFF * 2 ** (c.pull_failures - 1), _LAST_BACKOFF)
        self.later(c, 2.0, lambda: self._pull_backoff(c, why))
        self.later(c, 2.0 + wait, lambda: self._pull(c))

    def _pull_backoff(self, c: ContainerState, why: str) -> None:
        message = f'Back-off pulling image "{c.image}"'
        c.state = {"waiting": {"reason": "ImagePullBackOff", "message": f"{message}: ErrImagePull: {why}"}}
        self.push()
        self.say("BackOff", message, c)
        self.say("Failed", "Error: ImagePullBackOff", c, warning=True)

    def _configure(self, c: ContainerState) -> None:
        pod = self.pod()
        if pod is None:
            return
        problem = missing_config(self.cluster, pod, c.spec)
        if problem:
            c.state = {"waiting": {"reason": "CreateContainerConfigError", "message": problem}}
            self.push()
            self.say("Failed", f"Error: {problem}", c, warning=True)
            self.later(c, 10.0, lambda: self._configure(c))
            return
        self._start(c, pod)

    def _start(self, c: ContainerState, pod: Obj) -> None:
        now = self.cluster.clock.now
        c.turn += 1
        seed = f"{self.uid}{c.name}{c.restarts}{now}"
        c.container_id = f"containerd://{hashlib.sha256(seed.encode()).hexdigest()}"
        self.say("Created", f"Created container: {c.name}", c)
        self.say("Started", f"Started container {c.name}", c)
        c.state = {"running": {"startedAt": rfc3339(now)}}
        c.failures = 0
        c.run = Run(now)
        c.trace.runs = [*c.trace.runs[-KEEP_RUNS:], c.run]
        self.go_on(c, pod)
        self.push()

    def go_on(self, c: ContainerState, pod: Obj) -> None:
        """Let a running container live: it ends when its program does, and is probed."""
        self._note_facts(c)
        result = outcome(c.program, c.spec, environment(self.cluster, pod, c.spec))
        # A program that is meant to end (run_for) does so only where ending is expected.
        if result.after and (result.reason != "Completed" or c.init or text(pod, "spec", "restartPolicy") != "Always"):
            self.later(c, result.after, lambda: self._exited(c, result))
        elif c.init or _is_job(pod):
            self.later(c, 1.0, lambda: self._exited(c, Outcome(1, 0, "Completed")))
        probe = sub(c.spec, "readinessProbe")
        if not c.init and not probe:
            c.ready = True
            self._note_facts(c)
        elif not c.init:
            wait = c.program.ready_after + number(probe, "initialDelaySeconds")
            self._probe_in(c, wait)
        alive = sub(c.spec, "livenessProbe")
        if alive and not c.init and not probes.answers(c.spec, alive):
            self.later(c, number(alive, "initialDelaySeconds") + 1.0, lambda: self._check_life(c, alive, 1))

    def _check_life(self, c: ContainerState, probe: Obj, failed: int) -> None:
        """A liveness probe that nothing answers: said each time, and at the threshold the container is killed."""
        self.say("Unhealthy", probes.refused("Liveness", c.spec, probe, self.ip), c, warning=True)
        if failed >= number(probe, "failureThreshold", default=3):
            self.say("Killing", f"Container {c.name} failed liveness probe, will be restarted", c)
            self._exited(c, Outcome(0, 137, "Error"))
            return
        self.later(c, number(probe, "periodSeconds", default=10), lambda: self._check_life(c, probe, failed + 1))

    def _note_facts(self, c: ContainerState) -> bool:
        """Remember what holds from now on for the running container; was it something new?"""
        if c.run is None:
            return False
        now: Facts = facts(c.program, self.place, self.machines.world)
        known = c.run.segments[-1] if c.run.segments else None
        if known is not None and known.facts == now and known.ready == c.ready:
            return False
        c.run.segments.append(Segment(self.cluster.clock.now, now, c.ready))
        return known is None or known.facts != now

    def _probe(self, c: ContainerState) -> None:
        probe = sub(c.spec, "readinessProbe")
        if c.run is None or not probe:
            return
        why = unready_because(c.program, facts(c.program, self.place, self.machines.world))
        blipped = self.cluster.clock.now < self._blip_until
        unheard = not probes.answers(c.spec, probe)
        if why or blipped or unheard:
            c.failures += 1
            said = probes.unready(probe, self._blip_why if blipped else "")
            self.say("Unhealthy", probes.refused("Readiness", c.spec, probe, self.ip) if unheard else said, c, warning=True)
            if c.ready and c.failures >= number(probe, "failureThreshold", default=3):
                c.ready = False
            self._probe_in(c, number(probe, "periodSeconds", default=10))
        else:
            c.failures = 0
            c.ready = True
        self._note_facts(c)
        self.push()

    def _probe_in(self, c: ContainerState, seconds: float) -> None:
        """Probe once more then; an earlier appointment is off."""
        c.probe_turn += 1
        turn = c.probe_turn
        self.later(c, seconds, lambda: self._probe(c) if c.probe_turn == turn else None)

    def blip(self, container: str, seconds: float, why: str) -> None:
        self._blip_until, self._blip_why = self.cluster.clock.now + seconds, why
        for c in self.mains:
            if c.name == container:
                self._probe(c)

    def exit(self, container: str, result: Outcome) -> None:
        for c in self.mains:
            if c.name == container and c.run is not None:
                self._exited(c, result)

    def _exited(self, c: ContainerState, result: Outcome) -> None:
        pod, now = self.pod(), self.cluster.clock.now
        if pod is None or c.run is None:
            return
        ran, c.run.ended = now - c.run.started, now
        c.run.exit_code, c.run.reason, c.run.exit_lines = result.exit_code, result.reason, result.lines
        ended: Obj = {
            "exitCode": result.exit_code,
            "reason": result.reason,
            "startedAt": rfc3339(c.run.started),
            "finishedAt": rfc3339(now),
            "containerID": c.container_id,
        }
        c.run, c.ready, c.state = None, False, {"terminated": ended}
        c.turn += 1
        if result.reason == "OOMKilled":
            self._tell_node(c)
        self.push()
        if c.init and result.exit_code == 0:
            self._next()
            return
        policy = text(pod, "spec", "restartPolicy") or "Always"
        if policy == "Never" or (policy == "OnFailure" and result.exit_code == 0):
            return
        c.crashes = 1 if ran > _HEALTHY_AFTER else c.crashes + 1
        wait = 0.0 if c.crashes == 1 else min(_FIRST_BACKOFF * 2 ** (c.crashes - 2), _LAST_BACKOFF)
        if not wait:
            self.later(c, 1.0, lambda: self.restart(c, ended))
            return
        self.later(c, 1.0, lambda: self._back_off(c, ended, wait))

    def _back_off(self, c: ContainerState, ended: Obj, wait: float) -> None:
        span = f"{int(wait // 60)}m{int(wait % 60)}s" if wait >= 60 else f"{int(wait)}s"
        place = f"{self.key[1]}_{self.key[0]}({self.uid})"
        c.last = {"terminated": ended}
        c.state = {
            "waiting": {
                "reason": "CrashLoopBackOff",
                "message": f"back-off {span} restarting failed container={c.name} pod={place}",
            }
        }
        self.push()
        message = f"Back-off restarting failed container {c.name} in pod {place}"
        for at in range(0, int(wait), 13):
            self.later(c, at, lambda: self.say("BackOff", message, c, warning=True))
        self.later(c, wait, lambda: self.restart(c, ended))

    def restart(self, c: ContainerState, ended: Obj) -> None:
        c.last = {"terminated": ended}
        c.restarts += 1
        c.trace.restarts.append(self.cluster.clock.now)
        self._pull(c)

    def _tell_node(self, c: ContainerState) -> None:
        node = self.cluster.store.get(NODE, "", self.node)
        if node is not None:
            process = int(hashlib.sha256(c.container_id.encode()).hexdigest()[:5], 16) % 60000 + 2000
            limit = int(c.trace.memory_limit // 1024)
            message = (
                f"Memory cgroup out of memory: Killed process {process} ({c.name}) "
                f"total-vm:{limit * 3}kB, anon-rss:{limit}kB, file-rss:0kB, shmem-rss:0kB"
            )
            self.cluster.event(node, "OOMKilling", message, component="kernel-monitor", warning=True, host=self.node)

    def stop(self) -> None:
        """The pod is to go: stop the containers, then remove it."""
        if self.stopping or self.frozen:
            return
        self.stopping = True
        for c in self.mains:
            if c.run is not None:
                self.say("Killing", f"Stopping container {c.name}", c)
        pod = self.pod() or {}
        grace = number(pod, "metadata", "deletionGracePeriodSeconds", default=30)
        self.cluster.clock.after(min(grace, 1.0), self._remove)

    def _remove(self) -> None:
        if self.pod() is not None:
            self.cluster.store.remove(POD, *self.key)

    def end(self) -> None:
        self.alive = False
        now = self.cluster.clock.now
        for c in self.containers:
            c.trace.gone = now
            if c.run is not None:
                c.run.ended = now


def _is_job(pod: Obj) -> bool:
    return controller_of(pod).get("kind") == "Job"
