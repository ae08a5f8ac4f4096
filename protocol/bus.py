"""What a runner says of itself, and the batches of the watch."""

from typing import Annotated, Literal

from pydantic import Field

from protocol.base import PROTOCOL_VERSION, Message, Strict, Utc, Value
from protocol.diagnosis import Change, Finding


class RunnerMode(Value):
    """What this runner will do at most. The control plane can only narrow it."""

    writes: bool = False
    remediations: tuple[str, ...] = ()
    """Types that may run, e.g. "set_resources"; empty with writes means none."""
    namespaces: tuple[str, ...] | None = None
    """Namespaces in which they may run; None means all."""
    secrets_opt_in: tuple[str, ...] = ()
    """Namespaces in which names and key names of Secrets may be read; never values."""


class Hello(Message):
    """Sent when a runner connects; answered by HelloReply."""

    cluster: str
    runner: str
    boot: str
    """New for each start of the process; grants name it."""
    version: str
    speaks: tuple[int, ...] = (PROTOCOL_VERSION,)
    mode: RunnerMode = RunnerMode()
    kubernetes_version: str = ""
    started_at: Utc
    clock: Utc


class HelloReply(Message):
    accepted: bool
    use: int = PROTOCOL_VERSION
    clock: Utc
    """The control plane's time: a runner that is off by more than 30 s refuses writes."""
    reason: str = ""


class ClusterSummary(Value):
    nodes: int = 0
    nodes_ready: int = 0
    pods: int = 0
    pods_ready: int = 0
    pods_failing: int = 0
    namespaces: tuple[str, ...] = ()
    findings: dict[str, int] = {}
    """Severity to count."""
    metrics_api: bool = False
    prometheus: bool = False
    metrics: str = ""
    """Which metrics server the runner uses, and whether it answers, in one line for people."""
    cache: Literal["cold", "warm", "stale"] = "cold"
    cache_note: str = ""
    cannot_write: str = ""
    """Why this runner would refuse every approved plan now: its clock, its Lease. "" where none runs anyway."""


class Heartbeat(Message):
    cluster: str
    runner: str
    boot: str
    clock: Utc
    summary: ClusterSummary = ClusterSummary()
    memory_mib: float = 0
    uptime_s: float = 0


class WatchBatch(Message):
    """On JetStream; unique by (runner, boot, seq)."""

    cluster: str
    runner: str
    boot: str
    seq: int = Field(ge=1)
    findings: tuple[Finding, ...] = ()
    closed: tuple[str, ...] = ()
    """Keys `code@Kind/namespace/name` of findings that are over."""
    changes: tuple[Change, ...] = ()


HEARTBEAT_S = 15
OFFLINE_AFTER_S = 45


class EnrolRequest(Message):
    """The exchange of a single-use token for a key of the runner's own."""

    token: str
    public_key: str
    """The runner's nkey (user, base32, starts with U)."""
    hello: Hello | None = None


class EnrolReply(Message):
    cluster: str
    runner: str
    nats_url: str
    grant_keys: dict[str, str] = {}
    """kid to Ed25519 public key in hex, to compare with the pinned ones; the runner never trusts these by themselves."""


class ConnectProof(Strict):
    """What a runner shows on each connect, as NATS auth token (see protocol.proof): that it holds its key, or, before it is
    enrolled, its single-use token. `runner` and `cluster` are "" until enrolment has given them."""

    v: int = PROTOCOL_VERSION
    runner: Annotated[str, Field(pattern=r"^([a-z2-7]{16,32})?$")]
    cluster: Annotated[str, Field(pattern=r"^([a-z2-7]{16,32})?$")]
    public_key: Annotated[str, Field(pattern=r"^U[A-Z2-7]{55}$")]
    """The runner's nkey (user, base32, starts with U)."""
    issued_at: Utc
    nonce: Annotated[str, Field(pattern=r"^[a-z2-7]{16,64}$")]
    signature: Annotated[str, Field(pattern=r"^([0-9a-f]{128})?$")] = ""
    """Ed25519 in hex over the canonical JSON of all other fields."""
    enrol: Annotated[str, Field(max_length=512)] | None = None
    """The enrolment token, on the connection that enrols."""
