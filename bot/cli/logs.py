"""Logging of our processes: structlog as JSON lines, to a file or to stderr."""

import logging
import sys
from pathlib import Path

import structlog


def configure(level: str, file: Path | None = None) -> None:
    """JSON lines with time, level and the ids bound in context. `file` None writes to stderr."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    stream = file.open("a", buffering=1) if file is not None else sys.stderr
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
