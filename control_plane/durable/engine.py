"""DBOS behind a few blocking calls. Everything here runs in threads; nothing of ours shares its event loop or its context."""

import logging
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, cast

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID

_APPLICATION_VERSION = "1"
"""Fixed: DBOS recovers only its own version, and by default a version is a hash of the source. Ours is in the names."""
_SCHEMA = "opsthread_durable"
_ACTIVE = frozenset({"PENDING", "ENQUEUED", "DELAYED"})
_ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")


class Engine:
    """DBOS keeps one instance and one registry a process; `close` clears both."""

    def __init__(self, url: str, executor_id: str, steps: Mapping[str, Callable[[str], None]]) -> None:
        _quiet()
        self._workflows = {name: _workflow(name, step) for name, step in steps.items()}
        config: DBOSConfig = {
            "name": "opsthread",
            "system_database_url": url,
            "dbos_system_schema": _SCHEMA,
            "application_version": _APPLICATION_VERSION,
            "executor_id": executor_id,
            "serializer": DBOSPortableJSONSerializer(),
            "enable_otlp": False,
            "log_level": "ERROR",
        }
        try:
            DBOS(config=config)
            DBOS.launch()
        except BaseException:
            self.close()
            raise

    def start(self, name: str, workflow_id: str, argument: str) -> None:
        attempt, status = self._latest(workflow_id)
        if status in _ACTIVE:
            return
        if status is not None:
            attempt += 1
        with SetWorkflowID(workflow_id if attempt == 1 else f"{workflow_id}:{attempt}"):
            DBOS.start_workflow(self._workflows[name], argument)

    def active(self, workflow_id: str) -> bool:
        return self._latest(workflow_id)[1] in _ACTIVE

    def executors_at_work(self) -> frozenset[str]:
        known = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        return frozenset(workflow.executor_id for workflow in known if workflow.executor_id)

    def recover(self, executor: str) -> int:
        # Without their paid service nobody else calls this; the name is private, and pinned by our lock.
        return len(cast(Any, DBOS)._recover_pending_workflows([executor]))

    def forget_ended(self, before: datetime, limit: int) -> int:
        ended = DBOS.list_workflows(
            status=list(_ENDED), end_time=before.isoformat(), limit=limit, load_input=False, load_output=False
        )
        if ended:
            DBOS.delete_workflows([workflow.workflow_id for workflow in ended])
        return len(ended)

    def close(self) -> None:
        DBOS.destroy(destroy_registry=True)

    def _latest(self, workflow_id: str) -> tuple[int, str | None]:
        """Number and status of the newest attempt; (1, None) when there is none."""
        known = DBOS.list_workflows(workflow_id_prefix=workflow_id, load_input=False, load_output=False)
        pattern = re.compile(re.escape(workflow_id) + r"(?::([1-9][0-9]*))?")
        attempts = {int(m[1] or 1): w.status for w in known if (m := pattern.fullmatch(w.workflow_id))}
        newest = max(attempts, default=1)
        return newest, attempts.get(newest)


def _workflow(name: str, step: Callable[[str], None]) -> Callable[[str], None]:
    """One workflow with one step, never retried by DBOS: the function itself reads the tables and knows what is left."""

    def workflow(argument: str) -> None:
        DBOS.run_step({"name": name, "retries_allowed": False}, step, argument)

    return DBOS.workflow(name=name)(workflow)


def _quiet() -> None:
    """DBOS writes to a console handler of its own unless there is one; its errors go where ours go."""
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
