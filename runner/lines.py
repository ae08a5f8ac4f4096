"""Where a process writes its log."""

import os


class Lines:
    """Whole lines to a file descriptor. What a full disk or a closed terminal does not take is dropped and counted: a log that
    raises would turn each error into a worse one. The first line that is taken again tells how many were lost."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._begun = ""
        self._lost = 0

    def write(self, text: str) -> int:
        self._begun += text
        whole, newline, self._begun = self._begun.rpartition("\n")
        if newline:
            self._send(whole + newline)
        return len(text)

    def flush(self) -> None:
        """Lines are sent as they end."""

    def _send(self, lines: str) -> None:
        told = f'{{"level":"warning","event":"log lines were lost","lines":{self._lost}}}\n' if self._lost else ""
        data = (told + lines).encode("utf-8", "backslashreplace")
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            self._lost += lines.count("\n")
        else:
            self._lost = 0
