"""`python -m sandbox`: run the practice cluster until told to stop."""

import argparse
import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

import orjson

from sandbox.process import running
from sandbox.scenarios import DEFAULT_SCENARIOS, load

_PR_SET_PDEATHSIG = 1


def main() -> None:
    options = _options()
    _die_with_parent()
    asyncio.run(_serve(options))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="Run the practice cluster.")
    parser.add_argument("--port", type=int, default=0, help="port of the API (0: any free one)")
    parser.add_argument("--kubeconfig-dir", type=Path, help="where kubeconfigs go (default: a temporary folder)")
    parser.add_argument("--scenario", action="append", choices=sorted(load()), help="break this; may be repeated")
    parser.add_argument("--no-faults", action="store_true", help="start with a healthy shop")
    parser.add_argument("--speed", type=float, default=1.0, help="divides every wait of the cluster")
    parser.add_argument("--state", type=Path, help="keep the cluster in this file over restarts")
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when standard input closes")
    return parser.parse_args()


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    scenarios = () if options.no_faults else tuple(options.scenario or DEFAULT_SCENARIOS)
    where = {"port": options.port, "directory": options.kubeconfig_dir, "state": options.state}
    async with running(scenarios=scenarios, speed=options.speed, **where) as served:
        print(orjson.dumps(served.ready_line()).decode(), flush=True)
        if options.exit_with_parent:
            loop.add_reader(sys.stdin.fileno(), _read_end, loop, stop)
        await stop.wait()
        with contextlib.suppress(ValueError):
            loop.remove_reader(sys.stdin.fileno())


def _read_end(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        loop.remove_reader(sys.stdin.fileno())
        stop.set()


def _die_with_parent() -> None:
    """On Linux the kernel sends SIGTERM when the parent ends, however it ends."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit(0)


if __name__ == "__main__":
    main()
