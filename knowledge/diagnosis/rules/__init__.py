"""The rules: small functions, each registered with the kinds that it looks at. Importing this package registers them all."""

from knowledge.diagnosis.rules import (
    configuration,
    containers,
    images,
    logged,
    networking,
    nodes,
    policies,
    probes,
    scheduling,
    starting,
    storage,
    workloads,
)
from knowledge.diagnosis.rules.registry import RULES, Rule, rule

__all__ = [
    "RULES",
    "Rule",
    "configuration",
    "containers",
    "images",
    "logged",
    "networking",
    "nodes",
    "policies",
    "probes",
    "rule",
    "scheduling",
    "starting",
    "storage",
    "workloads",
]
