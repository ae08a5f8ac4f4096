"""How a rule is registered: a name, the kinds that it looks at, and a function from (context, key, object) to hits."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from knowledge.diagnosis.context import Context
from knowledge.diagnosis.fields import Obj
from knowledge.diagnosis.hit import Hit
from knowledge.diagnosis.view import Key

Check: TypeAlias = Callable[[Context, Key, Obj], Iterable[Hit]]


@dataclass(frozen=True, slots=True)
class Rule:
    """Rules for Pod are called only for pods in trouble (`pods.troubled`) and, when `logged`, for healthy pods whose logs are
    in the view; rules for other kinds for every object.
    """

    name: str
    kinds: tuple[str, ...]
    check: Check
    logged: bool = False


RULES: list[Rule] = []


def rule(*kinds: str, logged: bool = False) -> Callable[[Check], Check]:
    """Register a check. Its name is the function's, in kebab-case."""

    def register(check: Check) -> Check:
        RULES.append(Rule(check.__name__.replace("_", "-"), kinds, check, logged))
        return check

    return register
