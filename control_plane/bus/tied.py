"""Runs a program whose life is tied to ours: when we die, however we die, it is told to stop.

Run by path (`python -I -S tied.py <how> <parent pid> <program> <argument>…`), so it imports the standard library only.
On Linux (`signal`) the kernel does it: PR_SET_PDEATHSIG, then exec, which leaves no process in between. The signal comes
when the parent's THREAD that started us ends, so whoever starts us lives as long as the program should. Elsewhere
(`pipe`) this process stays and watches its standard input, whose other end the kernel closes with the parent.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from types import FrameType

_PR_SET_PDEATHSIG = 1
_KILL_AFTER_S = 10


def tied_command(argv: list[str], *, how: str | None = None) -> list[str]:
    """`argv` as a child tied to this process. Start it with a pipe as its standard input."""
    how = how or ("signal" if sys.platform == "linux" else "pipe")
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), how, str(os.getpid()), *argv]


def main(how: str, parent: int, argv: list[str]) -> None:
    if how == "signal":
        _exec_with_death_signal(parent, argv)
    else:
        _run_until_pipe_closes(argv)


def _exec_with_death_signal(parent: int, argv: list[str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it died before the call: no signal will come
        sys.exit(0)
    os.execv(argv[0], argv)


def _run_until_pipe_closes(argv: list[str]) -> None:
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        child.terminate()

    def watch() -> None:
        while os.read(0, 4096):
            pass
        child.terminate()
        try:
            child.wait(_KILL_AFTER_S)
        except subprocess.TimeoutExpired:
            child.kill()

    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=watch, daemon=True).start()
    sys.exit(child.wait())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
