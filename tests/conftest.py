"""For every test: collection without the garbage collector, and child processes that keep their bytecode.

Some releases of CPython 3.11 count the recursion of AST building per interpreter; a collection that runs Python code in the
middle of pytest's assertion rewriting can make them raise "AST constructor recursion depth mismatch".

The processes that tests start are the installed product, which keeps its bytecode; compiling it anew costs each start a second.
"""

import gc
import os

import hypothesis
import pytest

gc.disable()
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# A busy machine breaks no property; pytest's own time limit ends what hangs.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


def pytest_configure(config: pytest.Config) -> None:
    """Files are handed out in the order below, not those with the most tests first."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is long first: the small files of the unit tests fill up the workers' last minute evenly."""
    items.sort(key=lambda item: "/unit/" in item.path.as_posix())


def pytest_collection_finish() -> None:
    """What is there now stays: looking for garbage in it again and again cost a tenth of the processor's time."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    gc.enable()
