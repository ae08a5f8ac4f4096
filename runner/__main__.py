"""`python -m runner`: configured by OPSTHREAD_RUNNER_…; exit 0 after SIGTERM, 2 for a configuration that cannot work."""

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO, cast

import structlog
from pydantic import ValidationError

from runner.config import RunnerConfig
from runner.enrolment import EnrolmentRefused
from runner.kube.access import warm_up
from runner.lines import Lines
from runner.main import run


def main(argv: Sequence[str] | None = None) -> int:
    """With `--settings-from-stdin` the settings are one line of JSON on stdin (fields of RunnerConfig), over the environment;
    everything heavy is loaded before that line is read. No line: whoever started us is gone, and so are we."""
    given: dict[str, Any] = {}
    if "--settings-from-stdin" in (sys.argv[1:] if argv is None else argv):
        warm_up()
        line = sys.stdin.readline()
        if not line.strip():
            return 0
        given = json.loads(line)
    try:
        config = RunnerConfig(**given)
    except ValidationError as error:
        for row in error.errors(include_url=False, include_context=False, include_input=False):
            name = "_".join(str(part) for part in row["loc"]).upper()
            sys.stderr.write(f"OPSTHREAD_RUNNER_{name}: {row['msg']}\n")
        return 2
    configure_logs(config.log_level)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as loop:
            loop.run(run(config))
    except (EnrolmentRefused, PermissionError, RuntimeError) as error:
        structlog.get_logger("runner").error("cannot_start", error=str(error))
        return 2
    return 0


def configure_logs(level: str) -> None:
    """JSON, one line an event, on standard error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, Lines(sys.stderr.fileno()))),
        cache_logger_on_first_use=True,
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


if __name__ == "__main__":
    raise SystemExit(main())
