"""`opsthread cases`, `weights` and `feedback` against a running server, as a person types them."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from bot.cli.cases import BATCH_CASES, batches
from bot.cli.client import Client
from bot.cli.connection import Connection
from bot.cli.feedback import ask_after, newest
from bot.cli.main import app
from bot.cli.screen import Screen
from protocol.approval import Role
from tests.integration.case_rows import answered, case_row
from tests.integration.http_server import Here, Person, http_server

in_module = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Terminal:
    here: Here
    root: Person
    alex: Person

    async def type(self, *words: str, who: Person | None = None, text: str | None = None) -> tuple[int, str]:
        whose = who or self.root
        args = [*words, "--url", self.here.url, "--token", whose.token]
        done = await asyncio.to_thread(CliRunner().invoke, app, args, input=text, env={"COLUMNS": "200"})
        return done.exit_code, done.output

    def row(self, name: str, **more: Any) -> dict[str, Any]:
        return case_row(self.here, name, **more)

    async def answered(self, who: Person) -> tuple[str, str]:
        return await answered(self.here, who, "cli")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def terminal(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Terminal]:
    async with http_server(tmp_path_factory.mktemp("cli")) as here:
        yield Terminal(here, await here.person("root", Role.ADMIN), await here.person("alex", Role.APPROVER))


@in_module
async def test_import_list_show_export_forget(terminal: Terminal, tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows = [terminal.row(f"case-{n}", evidence=["password=hunter2-hunter2"]) for n in range(BATCH_CASES + 5)]
    source.write_text("\n\n".join(json.dumps(row) for row in rows))
    assert await terminal.type("cases", "import", str(source)) == (0, "105 imported\n")
    code, out = await terminal.type("cases", "list", "--limit", "3", "--outcome", "provisional")
    assert code == 0
    assert "No space left on device" in out
    assert "There are more" in out
    code, out = await terminal.type("cases", "show", "case-7")
    assert code == 0
    assert "practice/shop" in out
    assert "hunter2" not in out
    code, _ = await terminal.type("cases", "export", str(target))
    assert code == 0
    exported = [json.loads(line) for line in target.read_text().splitlines()]
    assert {row["id"] for row in exported} >= {row["id"] for row in rows}
    code, out = await terminal.type("cases", "forget", "case-7")
    assert (code, "--yes" in out) == (2, True)
    assert (await terminal.type("cases", "forget", "case-7", "--yes"))[0] == 0
    assert (await terminal.type("cases", "show", "case-7"))[0] != 0
    code, out = await terminal.type("cases", "import", str(target))
    assert "1 left out: somebody had them forgotten" in out
    code, out = await terminal.type("cases", "forget", "case-8", "--yes", who=terminal.alex)
    assert (code, "only an admin" in " ".join(out.split())) == (1, True)


@in_module
async def test_a_file_that_is_no_export_is_named_with_its_line(terminal: Terminal, tmp_path: Path) -> None:
    source = tmp_path / "bad.jsonl"
    source.write_text(json.dumps(terminal.row("good-1")) + "\n{not json\n")
    code, out = await terminal.type("cases", "import", str(source))
    assert (code, "Line 2 is not JSON" in out) == (2, True)
    source.write_text(json.dumps(terminal.row("x") | {"id": "x y"}))
    code, out = await terminal.type("cases", "import", str(source))
    assert (code, "case 1 of the import is not one" in " ".join(out.split())) == (2, True)
    code, out = await terminal.type("cases", "import", str(tmp_path / "nowhere"))
    assert (code, "No such file" in out) == (2, True)


@in_module
async def test_feedback_and_weights(terminal: Terminal) -> None:
    conversation, turn = await terminal.answered(terminal.alex)
    code, out = await terminal.type("feedback", "wrong", "--actual", "node-pressure", "--note", "the node", who=terminal.alex)
    assert (code, "it counts" in out) == (0, True)
    (given,) = await terminal.here.plane.feedback.of_conversation(conversation)
    assert (given.turn, given.verdict, given.actual, given.note) == (turn, "wrong", "node-pressure", "the node")
    code, out = await terminal.type("feedback", "right", "--conversation", conversation, "--turn", turn)
    assert code == 0
    code, out = await terminal.type("weights", "show")
    assert (code, "node-pressure" in out) == (0, True)
    code, out = await terminal.type("feedback", "list", "--conversation", conversation)
    assert (code, "the node" in out, "Alex" in out) == (0, True, True)
    code, out = await terminal.type("feedback", "causes")
    assert (code, "memory-limit-too-low" in out) == (0, True)
    assert (await terminal.type("feedback", "maybe"))[0] == 2
    assert (await terminal.type("feedback", "wrong", "--actual", "nonsense", who=terminal.alex))[0] == 2
    assert (await terminal.type("weights", "reset"))[0] == 2
    assert (await terminal.type("weights", "reset", "--yes", who=terminal.alex))[0] == 1
    assert (await terminal.type("weights", "reset", "--yes"))[0] == 0
    code, out = await terminal.type("weights", "show")
    assert (code, out.strip()) == (0, "Nothing has moved a weight: all are 1.")
    code, out = await terminal.type("weights", "show", "--history")
    assert (code, "reset" in out) == (0, True)


@in_module
@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("\n", None),
        ("y\n", ("right", "", "")),
        ("n\n\n\n", ("wrong", "", "")),
        ("n\npressure\nit was node 5\n", ("wrong", "node-pressure", "it was node 5")),
        ("n\nimage\nimage-tag-not-found\n\n", ("wrong", "image-tag-not-found", "")),
        ("maybe\n", None),
    ],
)
async def test_after_an_answer_a_terminal_asks(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, typed: str, kept: tuple[str, str, str] | None
) -> None:
    conversation, turn = await terminal.answered(terminal.alex)
    ours, theirs = os.openpty()
    os.write(ours, typed.encode())
    with os.fdopen(theirs, "r+b", buffering=0) as raw, os.fdopen(os.dup(theirs), "w") as screen_file:
        monkeypatch.setattr(sys, "stdin", os.fdopen(os.dup(raw.fileno()), "r"))
        monkeypatch.setattr(sys, "stdout", screen_file)
        async with Client(Connection(url=terminal.here.url, token=terminal.alex.token)) as client:
            assert await newest(client, None, None) == (conversation, turn)
            await ask_after(client, conversation, turn, Screen(quiet=False, explain=False))
        sys.stdin.close()
        monkeypatch.undo()
    os.close(ours)
    given = await terminal.here.plane.feedback.of_conversation(conversation)
    assert [(one.verdict, one.actual, one.note) for one in given] == ([kept] if kept else [])


BIG = json.dumps({"a": "x" * 200_000})


@pytest.mark.parametrize(
    ("lines", "sizes"),
    [([], []), (["{}"] * 3, [3]), (["", "{}", ""], [1]), (["{}"] * 250, [100, 100, 50]), ([BIG] * 3, [1, 1, 1])],
)
def test_batches_are_bounded(lines: list[str], sizes: list[int]) -> None:
    assert [len(batch) for batch in batches(iter(lines))] == sizes


@pytest.mark.parametrize("line", ["[]", "3", "{", "[" * 10_000, '{"a":"' + "x" * 300_000 + '"}'])
def test_a_line_that_is_no_case_is_named(line: str) -> None:
    with pytest.raises(ValueError, match="Line 2"):
        list(batches(iter(["{}", line])))
