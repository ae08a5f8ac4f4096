"""PromQL as a tree: what the parser makes and the evaluator walks."""

from dataclasses import dataclass, field


class QueryError(Exception):
    """The query can't be parsed or evaluated; `kind` is Prometheus' errorType."""

    def __init__(self, message: str, kind: str = "bad_data") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Matcher:
    """label op value, op one of = != =~ !~."""

    label: str
    op: str
    value: str


@dataclass(frozen=True)
class Number:
    value: float


@dataclass(frozen=True)
class Text:
    value: str


@dataclass(frozen=True)
class Selector:
    """A vector selector; with `range` > 0 a range vector of so many seconds."""

    matchers: tuple[Matcher, ...]
    range: float = 0.0
    offset: float = 0.0


@dataclass(frozen=True)
class Call:
    name: str
    args: tuple["Node", ...]


@dataclass(frozen=True)
class Aggregate:
    op: str
    expr: "Node"
    labels: tuple[str, ...]
    without: bool
    parameter: "Node | None" = None


@dataclass(frozen=True)
class Matching:
    """How two vectors are joined: by `on` (or all but `labels`), with many on one side or not."""

    on: bool = False
    labels: tuple[str, ...] = ()
    group: str = ""
    include: tuple[str, ...] = ()


@dataclass(frozen=True)
class Binary:
    op: str
    left: "Node"
    right: "Node"
    boolean: bool = False
    matching: Matching = field(default_factory=Matching)


@dataclass(frozen=True)
class Negative:
    expr: "Node"


Node = Number | Text | Selector | Call | Aggregate | Binary | Negative

COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")
SETS = ("and", "or", "unless")
AGGREGATIONS = ("sum", "avg", "max", "min", "count", "group", "stddev", "topk", "bottomk", "quantile")
