"""What deploy/Dockerfile promises, as far as it can be told without a builder."""

import ast
import re
import sys
import tomllib
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
OURS = {"protocol", "knowledge", "runner"}
RUNNER_SOURCES = ("protocol", "knowledge/diagnosis", "runner")


def locked(name: str) -> set[str]:
    return {normal(match) for match in re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / name).read_text(), re.MULTILINE)}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(path: Path) -> set[str]:
    """Top-level modules that a file imports, by statement or by importlib with a literal name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found.add(first.value.partition(".")[0])
    return found


def test_the_runners_image_holds_what_the_runner_imports() -> None:
    modules = {name for folder in RUNNER_SOURCES for path in (ROOT / folder).rglob("*.py") for name in imported(path)}
    dists = packages_distributions()
    needed = {normal(dists[name][0]) for name in modules - OURS - set(sys.stdlib_module_names)}
    assert needed
    assert needed <= locked("requirements-runner.lock"), "add it to the group `runner` of pyproject.toml and `make lock`"


def test_the_runners_lock_is_a_part_of_the_lock() -> None:
    whole = dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    part = dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", (ROOT / "requirements-runner.lock").read_text(), re.MULTILINE))
    assert part.items() <= whole.items()


@pytest.mark.parametrize("source", sorted(set(re.findall(r"^COPY ([^-\s]\S*) \S+$", DOCKERFILE, re.MULTILINE))))
def test_what_is_copied_exists_and_reaches_the_builder(source: str) -> None:
    assert (ROOT / source).exists()
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert any(fnmatch(source, kept) or (kept.endswith("/") and source.startswith(kept)) for kept in sent)


def test_the_image_holds_every_package_of_the_product() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {f"COPY {name}/ {name}/" for name in packages} <= set(DOCKERFILE.splitlines())


def test_the_images_run_as_nobody_in_particular() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)
    for name in ("opsthread", "opsthread-runner"):
        stage = next(text for text in stages if text.splitlines()[0].endswith(f"AS {name}"))
        assert "USER 10001:10001" in stage
        assert "ENTRYPOINT [" in stage
    assert ":latest" not in DOCKERFILE
