"""What Opsthread knows about diagnosis: a view of a cluster in, its root causes with proof out. Pure.

The runner carries this package and nothing else of knowledge, so it imports the standard library, orjson and protocol only.
"""

from knowledge.diagnosis.engine import diagnose
from knowledge.diagnosis.needs import NamedQuery, Needs, needs
from knowledge.diagnosis.resolve import Resolved, resolve
from knowledge.diagnosis.series import Series, read_series
from knowledge.diagnosis.view import ClusterView, Key, LogKey

__all__ = [
    "ClusterView",
    "Key",
    "LogKey",
    "NamedQuery",
    "Needs",
    "Resolved",
    "Series",
    "diagnose",
    "needs",
    "read_series",
    "resolve",
]
