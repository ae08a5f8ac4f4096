"""The runner's key in one named Secret of its own namespace: it outlives the pod and its disk.

The runner may get and patch that one Secret by its name, and no other; the installation makes it, empty. Every write names the
version that was read, so that of two pods that start at once one makes the key and the other one takes it.
"""

import asyncio
import base64
import binascii
import os
from typing import Any

import structlog

from knowledge.diagnosis.fields import sub
from runner.identity import Identity, RandomBytes, new_identity
from runner.kube.client import KubeClient
from runner.kube.errors import KubeError
from runner.kube.resources import BUILT_IN
from runner.remediation.diff import guarded

log = structlog.get_logger("runner.identity")

_KEY = "identity.json"
_CALL_S = 10.0
_AGAIN_S = (0.2, 0.5, 1.0, 2.0, 5.0)

Obj = dict[str, Any]


class SecretRefused(RuntimeError):
    """The Secret isn't there, may not be used, or holds no key. The message says what to do."""


class IdentitySecret:
    """Waits for an API server that does not answer. Raises SecretRefused where waiting does not help."""

    def __init__(self, client: KubeClient, namespace: str, name: str, random_bytes: RandomBytes = os.urandom) -> None:
        self._client = client
        self._path = BUILT_IN["Secret"].path(namespace, name)
        self._where = f"{namespace}/{name}"
        self._namespace, self._name = namespace, name
        self._random_bytes = random_bytes

    async def load(self) -> Identity:
        attempt = 0
        while True:
            try:
                found = await self._client.get(self._path, timeout=_CALL_S)
                kept = sub(found, "data").get(_KEY)
                if kept:
                    return self._parsed(str(kept))
                identity = new_identity(self._random_bytes)
                await self._write(found, identity)
            except KubeError as error:
                await self._wait(error, attempt)
                attempt += 1
            else:
                return identity

    async def save(self, identity: Identity) -> None:
        attempt = 0
        while True:
            try:
                await self._write(await self._client.get(self._path, timeout=_CALL_S), identity)
            except KubeError as error:
                await self._wait(error, attempt)
                attempt += 1
            else:
                return

    async def _write(self, found: Obj, identity: Identity) -> None:
        data = {**sub(found, "data"), _KEY: base64.b64encode(identity.to_json()).decode()}
        operations = guarded([{"op": "add", "path": "/data", "value": data}], found)
        await self._client.patch(self._path, operations, "json", timeout=_CALL_S)

    def _parsed(self, kept: str) -> Identity:
        try:
            return Identity.from_json(base64.b64decode(kept, validate=True))
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise SecretRefused(
                f"Secret {self._where} holds no runner's key under {_KEY} ({type(error).__name__}): "
                f"remove that entry and enrol the runner again"
            ) from None

    async def _wait(self, error: KubeError, attempt: int) -> None:
        """Raises SecretRefused for what does not get better. A conflict means that another pod was faster: look again."""
        if error.status == 404:
            make = f"kubectl -n {self._namespace} create secret generic {self._name}"
            raise SecretRefused(f"there is no Secret {self._where} for the runner's key: {make}") from error
        if error.status in (401, 403):
            raise SecretRefused(
                f"the runner's account may not get and patch Secret {self._where}: {error.message}. "
                f"Its role in namespace {self._namespace} must name it, or set OPSTHREAD_RUNNER_KEY_FILE"
            ) from error
        wait = _AGAIN_S[min(attempt, len(_AGAIN_S) - 1)]
        log.warning("secret_waits", secret=self._where, error=error.message, again_in_s=wait)
        await asyncio.sleep(wait)
