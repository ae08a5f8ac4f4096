"""Logging of our processes: structlog as JSON lines, to a file or to stderr."""

import logging
import os
import sys
from pathlib import Path
from typing import TextIO, cast

import structlog

from runner.lines import Lines


def configure(level: str, file: Path | None = None) -> None:
    """JSON lines with time, level and the ids bound in context. `file` None writes to stderr."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    stream = cast(TextIO, Lines(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if file else sys.stderr.fileno()))
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=max(number, logging.WARNING),
        stream=stream,
        format='{"timestamp":"%(asctime)s","level":"%(levelname)s","logger":"%(name)s","event":%(message)r}',
        force=True,
    )
