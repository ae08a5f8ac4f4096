"""The table of command lines is the specification of the gate; here it is held against the gate."""

from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from protocol.approval import Role
from protocol.bus import RunnerMode
from protocol.commands import ScopeLimit
from protocol.kubectl import GrammarError, parse, render
from protocol.policy import Decided, PolicyContext, judge

FILES = ("lines.yaml", "lines_scopes_and_holes.yaml")
TABLE: dict[str, Any] = {}
for name in FILES:
    TABLE.update(yaml.safe_load((Path(__file__).parent / name).read_text(encoding="utf-8")))
Row = tuple[str, str, str]

ANYWHERE = PolicyContext(scope=ScopeLimit(), role=Role.OPERATOR, mode=RunnerMode(writes=True))
SHOP_ONLY = PolicyContext(scope=ScopeLimit(namespaces=("shop",)), role=Role.OPERATOR, mode=RunnerMode(writes=True))


def _row(raw: list[str]) -> Row:
    line, verdict, *says = raw
    return line, verdict, says[0] if says else ""


def _named(section: str) -> dict[str, Row]:
    """The rows of a section, by name or by line."""
    raw: Any = TABLE[section]
    if isinstance(raw, dict):
        return {name: _row(row) for name, row in cast(dict[str, list[str]], raw).items()}
    return {f"{n}: {row[0]}": _row(row) for n, row in enumerate(cast(list[list[str]], raw))}


def _rows(section: str) -> list[Row]:
    return list(_named(section).values())


def _ids(section: str) -> list[str]:
    return list(_named(section))


def _hold(row: Row, context: PolicyContext) -> None:
    line, verdict, says = row
    if verdict == "refused":
        with pytest.raises(GrammarError) as refusal:
            parse(line)
        assert says
        assert says in str(refusal.value)
        return
    call = parse(line)
    judged = judge(call, context)
    assert judged.decision is Decided(verdict), judged.reason
    if verdict == "deny":
        assert says
        assert says in judged.reason
    elif says:
        assert render(call) == f"kubectl {says}"


@pytest.mark.parametrize("row", _rows("operator"), ids=_ids("operator"))
def test_an_operator_of_the_whole_cluster(row: Row) -> None:
    _hold(row, ANYWHERE)


@pytest.mark.parametrize("row", _rows("shop_only"), ids=_ids("shop_only"))
def test_an_operator_of_one_namespace(row: Row) -> None:
    _hold(row, SHOP_ONLY)


@pytest.mark.parametrize("row", _rows("holes"), ids=_ids("holes"))
def test_holes_of_other_gates(row: Row) -> None:
    _hold(row, ANYWHERE)


@pytest.mark.parametrize("row", _rows("holes_of_scope"), ids=_ids("holes_of_scope"))
def test_holes_of_other_gates_in_scope(row: Row) -> None:
    _hold(row, SHOP_ONLY)


def test_the_table_is_large_and_says_every_verdict() -> None:
    rows = [row for section in TABLE for row in _rows(section)]
    assert len(rows) >= 200
    assert {verdict for _, verdict, _ in rows} == {"allow", "approve", "deny", "refused"}


def test_what_a_line_and_an_argv_say_is_the_same() -> None:
    assert parse(["get", "pods", "-l", "app in (a,b)"]) == parse("kubectl get pods -l 'app in (a,b)'")


@pytest.mark.parametrize("word", ["|", ">", ">>", ";", "&&", "||", "2>&1", "&"])
def test_shell_words_in_an_argv_are_named(word: str) -> None:
    with pytest.raises(GrammarError, match=r"run|one command|written"):
        parse(["get", "pods", word, "x"])


def test_a_viewer_reads_but_does_not_propose() -> None:
    viewer = PolicyContext(scope=ScopeLimit(), role=Role.VIEWER)
    assert judge(parse("get pods"), viewer).decision is Decided.ALLOW
    verdict = judge(parse("rollout restart deploy/web"), viewer)
    assert verdict.decision is Decided.DENY
    assert "operator" in verdict.reason


def test_a_line_is_bounded() -> None:
    with pytest.raises(GrammarError, match="longer than"):
        parse("get pods " + "a" * 20_000)
    with pytest.raises(GrammarError, match="at most"):
        parse("get pods " + "a " * 500)
    with pytest.raises(GrammarError, match="at most"):
        parse("get pods " + " ".join(f"p{n}" for n in range(50)))
