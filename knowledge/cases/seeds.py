"""The cases that come with Opsthread: knowledge/seed_cases/*.yaml. They are of no cluster, so everybody may see them."""

from functools import cache
from importlib.resources import files
from typing import Any, cast

from knowledge.cases.case import Case

SEEDS_VERSION = 1
"""Raised whenever a seed changes: tenants that have seeds get the new ones."""
SEED = "seed."
"""What their ids begin with."""


@cache
def seeds() -> tuple[Case, ...]:
    import yaml

    found: list[Case] = []
    for source in sorted((files("knowledge") / "seed_cases").iterdir(), key=lambda item: item.name):
        if source.name.endswith(".yaml"):
            rows = cast(list[dict[str, Any]], yaml.safe_load(source.read_text(encoding="utf-8")))
            found += [Case.model_validate(row) for row in rows]
    return tuple(found)
