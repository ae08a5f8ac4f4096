"""Exit codes of the command line, documented in docs/cli.md."""

from enum import IntEnum


class Exit(IntEnum):
    ANSWERED = 0
    FAILED = 1
    USAGE = 2
    CLUSTER_UNREACHABLE = 3
    MODEL_UNAVAILABLE = 4
    NOT_ALLOWED = 5
    """`--approve`, and policy does not let this account decide."""
