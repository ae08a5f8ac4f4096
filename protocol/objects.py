"""How an object of a cluster is named: `Kind/namespace/name`; cluster-scoped `Node//worker-1`."""

import re
from typing import Any

from pydantic import field_validator, model_serializer, model_validator

from protocol.base import Strict

_KIND = re.compile(r"^[A-Z][A-Za-z0-9]{0,62}$")
# RFC 1123 subdomain, and the wider set that RBAC and events allow (colons, upper case); never a slash, dot-only or %.
_NAME = re.compile(r"^(?!\.{1,2}$)[A-Za-z0-9]([A-Za-z0-9.:_-]{0,251}[A-Za-z0-9])?$")
_NAMESPACE = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")


def valid_name(text: str) -> bool:
    """May `text` stand as an object's name in an API path?"""
    return _NAME.fullmatch(text) is not None


def valid_namespace(text: str) -> bool:
    return _NAMESPACE.fullmatch(text) is not None


class ObjectRef(Strict):
    """One object. `namespace` is "" for cluster-scoped kinds. Reads from and writes to the string form."""

    kind: str
    namespace: str
    name: str

    @field_validator("kind")
    @classmethod
    def _kind(cls, value: str) -> str:
        if not _KIND.fullmatch(value):
            raise ValueError(f"{value!r} is not a kind such as Deployment")
        return value

    @field_validator("namespace")
    @classmethod
    def _ns(cls, value: str) -> str:
        if value and not valid_namespace(value):
            raise ValueError(f"{value!r} is not a namespace")
        return value

    @field_validator("name")
    @classmethod
    def _object_name(cls, value: str) -> str:
        if not valid_name(value):
            raise ValueError(f"{value!r} is not an object name")
        return value

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        parts = value.split("/")
        if len(parts) != 3:
            raise ValueError(f"{value!r} is not Kind/namespace/name")
        return {"kind": parts[0], "namespace": parts[1], "name": parts[2]}

    @model_serializer
    def _to_text(self) -> str:
        return str(self)

    @classmethod
    def parse(cls, text: str) -> "ObjectRef":
        """Raises ValueError (pydantic's) when `text` is not Kind/namespace/name."""
        return cls.model_validate(text)

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"
