"""What the docs promise is there, and what is there stands in the docs: settings, commands, routes, links."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from pydantic_settings import BaseSettings

from bot.cli.main import app
from control_plane.settings import Settings
from runner.config import RunnerConfig

HOUSE = Path(__file__).parents[2]
DOCS = [HOUSE / "README.md", HOUSE / "CONTRIBUTING.md", *sorted((HOUSE / "docs").glob("*.md"))]
NAMES = re.compile(r"[A-Z][A-Z0-9_]+")
CODE = re.compile(r"`([^`]+)`")
COMMAND = re.compile(r"opsthread ([a-z]+)((?: [a-z]+(?:\\?\|[a-z]+)*){0,2})")
PATH = re.compile(r"/[a-z][\w{}/.\-]*")
LINK = re.compile(r"\]\(([^)\s]+)\)")
OF_THE_RUNNER = re.compile(r"OPSTHREAD_RUNNER_([A-Z0-9_]+)")
OF_THE_CONTROL_PLANE = re.compile(r"OPSTHREAD_(?!RUNNER_)([A-Z0-9_]+)")


def section(text: str, title: str) -> str:
    return text.partition(f"\n## {title}")[2].partition("\n## ")[0]


def documented(text: str) -> set[str]:
    """The variables in the first column of a table's rows."""
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for cell in cells for code in CODE.findall(cell) for name in NAMES.findall(code)}


def variables(settings: type[BaseSettings]) -> set[str]:
    return {str(field.validation_alias or name).upper() for name, field in settings.model_fields.items()}


def test_every_setting_of_the_control_plane_stands_in_its_table() -> None:
    text = section((HOUSE / "docs" / "configuration.md").read_text(encoding="utf-8"), "Control plane")
    assert documented(text) == variables(Settings)


def test_every_setting_of_the_runner_stands_in_its_table() -> None:
    text = section((HOUSE / "docs" / "configuration.md").read_text(encoding="utf-8"), "Runner")
    proof = section((HOUSE / "docs" / "metrics.md").read_text(encoding="utf-8"), "Proof")
    assert documented(text) | {f"PROMETHEUS_{name}" for name in documented(proof)} == variables(RunnerConfig)


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    inner: dict[str, Any] = getattr(command, "commands", {})
    if not inner or command.invoke_without_command:
        yield path
    for name, one in inner.items():
        yield from commands(one, (*path, name))


def said(text: str, groups: Collection[tuple[str, ...]] = ()) -> set[tuple[str, ...]]:
    """Commands as the first column names them: `opsthread cases list\\|show` are two. Of a third word, only what stands in
    one of the groups is a command; else it is what a command is told."""
    found: set[tuple[str, ...]] = set()
    for line in text.splitlines():
        if line.startswith("| `opsthread"):
            for name, second in COMMAND.findall(line.replace("\\|", "¦").split("|")[1].replace("¦", "|")):
                words = second.split() or [""]
                if (name, words[0]) in groups:
                    found |= {(name, words[0], word) for word in words[1].split("|")}
                else:
                    found |= {(name, word) if word else (name,) for word in words[0].split("|")}
    return found


def test_every_command_stands_in_the_guide_to_the_command_line() -> None:
    there = set(commands(typer.main.get_command(app)))
    groups = {path[:2] for path in there if len(path) > 2}
    assert said((HOUSE / "docs" / "cli.md").read_text(encoding="utf-8"), groups) == there


def test_every_route_stands_in_the_guide_to_rest() -> None:
    """The routes are the rows of the table of doors, which the application is held against."""
    guide = re.sub(r"```.*?```", "", (HOUSE / "docs" / "rest.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    told = {plain_path(path) for code in CODE.findall(guide) for path in PATH.findall(code)}
    doors: list[str] = list(yaml.safe_load((HOUSE / "tests" / "integration" / "doors.yaml").read_text(encoding="utf-8")))
    routes = [name.split(" ", 1)[1] for name in doors if " /api/v1/" in name]
    assert routes
    assert [route for route in routes if plain_path(route) not in told] == []


def plain_path(path: str) -> str:
    return re.sub(r"\{[\w:]+\}", "{}", path.removeprefix("/api/v1"))


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    lost: list[str] = []
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target or target.startswith("mailto:"):
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            lost.append(target)
    assert lost == []


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_every_variable_that_a_page_names_is_read(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = {f"RUNNER_{name}" for name in OF_THE_RUNNER.findall(text)} | set(OF_THE_CONTROL_PLANE.findall(text))
    known = variables(Settings) | {f"RUNNER_{name}" for name in variables(RunnerConfig)} | read_elsewhere()
    assert {name for name in named if name not in known and not name.endswith("_")} == set()


def read_elsewhere() -> set[str]:
    """Variables that the command line, the tests and the images read by their whole name."""
    files = [file for folder in ("bot", "tests", "deploy", "sandbox") for file in (HOUSE / folder).rglob("*")]
    texts = [file.read_text(encoding="utf-8") for file in files if file.suffix == ".py" or file.name == "Dockerfile"]
    return {name for text in texts for name in re.findall(r'"OPSTHREAD_([A-Z0-9_]+)"', text)}
