"""A log never makes things worse."""

import os
from pathlib import Path

from runner.lines import Lines


def test_a_log_that_cannot_be_written_is_dropped_counted_and_told(tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    file = tmp_path / "log"
    room = os.open(file, os.O_WRONLY | os.O_CREAT)
    lines = Lines(full)
    try:
        print("one", file=lines)
        print("two\nthree", file=lines)
        os.dup2(room, full)
        print("four", file=lines)
        print("five", file=lines)
    finally:
        os.close(full)
        os.close(room)
    assert file.read_text() == '{"level":"warning","event":"log lines were lost","lines":3}\nfour\nfive\n'


def test_a_line_goes_out_whole(tmp_path: Path) -> None:
    file = tmp_path / "log"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    lines = Lines(descriptor)
    lines.write("half a ")
    assert file.read_text() == ""
    lines.write("line\nand a\udce9 half")
    assert file.read_text() == "half a line\n"
    lines.write("\n")
    os.close(descriptor)
    assert file.read_text() == "half a line\nand a\\udce9 half\n"
