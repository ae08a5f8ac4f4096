"""The table of docs/security.md: fifteen requirements, and every file and test that it names is there."""

import ast
import re
from pathlib import Path

HOUSE = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+) \| .+ \| (.+) \| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"`([^`]+)`")


def rows() -> dict[int, tuple[list[str], list[str]]]:
    text = (HOUSE / "docs" / "security.md").read_text()
    section = text.partition("## Approvals, requirement by requirement")[2].partition("\n## ")[0]
    return {int(number): (NAMED.findall(where), NAMED.findall(tests)) for number, where, tests in ROW.findall(section)}


def functions_of(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_there_are_fifteen_and_each_names_a_place_and_a_test() -> None:
    found = rows()
    assert sorted(found) == list(range(1, 16))
    for where, tests in found.values():
        assert where
        assert tests


def test_every_place_is_there() -> None:
    missing = [place for where, _ in rows().values() for place in where if not (HOUSE / place).exists()]
    assert missing == []


def test_every_test_is_there() -> None:
    named = [name for _, tests in rows().values() for name in tests]
    missing: list[str] = []
    for name in named:
        file, _, function = name.partition("::")
        path = HOUSE / file
        if not path.exists() or function not in functions_of(path):
            missing.append(name)
    assert missing == []
    assert len(named) == len(set(named))
