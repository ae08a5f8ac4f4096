"""What the `sandbox` commands do: run a practice cluster, or speak to one that runs."""

import base64
import http.client
import json
import socket
import ssl
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit

from rich.console import Console
from rich.table import Table

from bot.cli.exits import Exit
from protocol.base import Value

_TIMEOUT_S = 10.0
_FOUND_IN = ("data/practice/admin.kubeconfig", "data/demo/sandbox-*/admin.kubeconfig", "data/sandbox-*/admin.kubeconfig")


class SandboxError(Exception):
    """What a person is told, and the exit code that goes with it."""

    def __init__(self, exit_code: Exit, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Practice(Value):
    """A running practice cluster: its API and the admin's token."""

    url: str
    token: str
    authority: str

    def call(self, method: str, path: str) -> dict[str, Any]:
        """Ask its admin endpoints. Raises SandboxError."""
        where = urlsplit(self.url)
        trust = ssl.create_default_context(cadata=self.authority)
        line = http.client.HTTPSConnection(where.hostname or "", where.port, timeout=_TIMEOUT_S, context=trust)
        try:
            line.request(method, f"/_sandbox/{path}", headers={"Authorization": f"Bearer {self.token}"})
            answer = line.getresponse()
            body = cast(dict[str, Any], json.loads(answer.read() or b"{}"))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise SandboxError(Exit.CLUSTER_UNREACHABLE, f"{self.url} does not answer: {error}") from None
        finally:
            line.close()
        if answer.status >= 400:
            said = str(body.get("message", answer.reason))
            raise SandboxError(Exit.USAGE if answer.status == 404 else Exit.FAILED, said)
        return body


def list_scenarios(*, answers: bool, as_json: bool) -> Exit:
    """All scenarios, from the data that comes with the program."""
    from sandbox.scenarios import load

    rows = [
        {"id": told.id, "title": told.title, "questions": told.questions, "truth": told.truth, "fixes": told.fixes}
        for told in load().values()
    ]
    if as_json:
        print(json.dumps(rows, ensure_ascii=False, indent=2))
        return Exit.ANSWERED
    table = Table("scenario", "what happens", "ask", *(["root cause", "object"] if answers else []))
    for row in rows:
        truth = cast(dict[str, Any], row["truth"])
        asked = cast(dict[str, list[str]], row["questions"])["en"][0]
        table.add_row(str(row["id"]), str(row["title"]), asked, *([truth["code"], truth["object"]] if answers else []))
    Console().print(table)
    return Exit.ANSWERED


def start(scenarios: tuple[str, ...] | None, *, port: int, directory: Path, state: Path | None, speed: float) -> Exit:
    """Serve until a signal. None means the demo's scenarios."""
    from bot.cli.running import StopSignal, run_loop
    from sandbox.process import running
    from sandbox.scenarios import DEFAULT_SCENARIOS, load

    unknown = [name for name in scenarios or () if name not in load()]
    if unknown:
        return _told(SandboxError(Exit.USAGE, f"There is no scenario {unknown[0]!r}; there are: {', '.join(load())}."))

    async def serve() -> Exit:
        stop = StopSignal()
        chosen = DEFAULT_SCENARIOS if scenarios is None else scenarios
        async with running(scenarios=chosen, speed=speed, port=port, directory=directory, state=state) as served:
            stop.serving()
            print(f"The practice cluster runs at {served.url}")
            print(f"  export KUBECONFIG={served.kubeconfigs['admin']}")
            print(f"  Prometheus: {served.prometheus_url}")
            print("  opsthread sandbox status | break NAME | heal NAME        Ctrl-C ends it", flush=True)
            await stop.wait()
        return Exit.ANSWERED

    return run_loop(serve)


def change(name: str, verb: str, *, kubeconfig: Path | None, as_json: bool) -> Exit:
    """Break or heal one scenario, and say how it stands then."""
    try:
        standing = _find(kubeconfig).call("POST", f"scenarios/{quote(name, safe='')}/{verb}")
    except SandboxError as error:
        return _told(error)
    if as_json:
        print(json.dumps(standing, ensure_ascii=False, indent=2))
    elif verb == "break":
        print(f"{name}: broken from now on; pods take a few seconds to show it. {standing['why']}")
    else:
        print(f"{name}: the fix is made. {standing['why']}")
    return Exit.ANSWERED


def status(name: str | None, *, kubeconfig: Path | None, as_json: bool) -> Exit:
    """One scenario in full, or a line for each that was started."""
    try:
        practice = _find(kubeconfig)
        rows = cast(list[dict[str, Any]], practice.call("GET", "scenarios")["scenarios"])
    except SandboxError as error:
        return _told(error)
    if name is not None:
        rows = [row for row in rows if row["id"] == name]
        if not rows:
            return _told(SandboxError(Exit.USAGE, f"There is no scenario {name!r}; see opsthread sandbox list."))
    else:
        rows = [row for row in rows if row["started"]]
    if as_json:
        print(json.dumps(rows[0] if name else {"url": practice.url, "scenarios": rows}, ensure_ascii=False, indent=2))
        return Exit.ANSWERED
    table = Table("scenario", "stands", "why")
    for row in rows:
        table.add_row(row["id"], _stands(row), row["why"])
    console = Console()
    console.print(f"practice cluster {practice.url}: {sum(1 for row in rows if row['broken'])} broken", highlight=False)
    console.print(table)
    if name:
        for line in (row_text for row in rows for row_text in _in_full(row)):
            console.print(line, markup=False, highlight=False)
    return Exit.ANSWERED


def _stands(row: dict[str, Any]) -> str:
    if not row["started"]:
        return "not started"
    if row["broken"]:
        return "broken"
    return "a look-alike, healthy" if row["truth"].get("healthy") else "healed"


def _in_full(row: dict[str, Any]) -> list[str]:
    truth = row["truth"]
    return [
        row["title"],
        f"ask: {row['questions']['en'][0]}",
        f"true: {truth['code']} at {truth['object']}: {truth['explanation']}",
    ]


def _find(kubeconfig: Path | None) -> Practice:
    """The named practice cluster, or the newest that answers here. Raises SandboxError."""
    if kubeconfig is not None:
        return _read(kubeconfig)
    found = sorted((path for pattern in _FOUND_IN for path in Path().glob(pattern)), key=lambda path: -path.stat().st_mtime)
    for path in found:
        practice = _read(path)
        if _listens(practice.url):
            return practice
    raise SandboxError(
        Exit.CLUSTER_UNREACHABLE,
        "No practice cluster runs here. Start one with `opsthread sandbox start` or `opsthread demo`, "
        "or name its admin.kubeconfig with --kubeconfig.",
    )


def _read(path: Path) -> Practice:
    try:
        config = cast(dict[str, Any], json.loads(path.read_text()))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        return Practice(url=cluster["server"], token=user["token"], authority=authority)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        words = f"{path} is no kubeconfig of a practice cluster: {error}"
        raise SandboxError(Exit.USAGE, words) from None


def _listens(url: str) -> bool:
    host, _, port = url.removeprefix("https://").partition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except (OSError, ValueError):
        return False


def _told(error: SandboxError) -> Exit:
    Console(stderr=True).print(str(error), style="red", markup=False, highlight=False)
    return error.exit_code
