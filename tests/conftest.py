"""For every test: collection without the garbage collector, and child processes that keep their bytecode.

Some releases of CPython 3.11 count the recursion of AST building per interpreter; a collection that runs Python code in the
middle of pytest's assertion rewriting can make them raise "AST constructor recursion depth mismatch".

The processes that tests start are the installed product, which keeps its bytecode; compiling it anew costs each start a second.
"""

import gc
import os
from typing import Any

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


def pytest_collection_finish(session: pytest.Session) -> None:
    """What is there now stays: looking for garbage in it again and again cost a tenth of the processor's time."""
    _nothing_that_failed_is_left_out(session)
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    gc.enable()


def _nothing_that_failed_is_left_out(session: pytest.Session) -> None:
    """A test that failed and has another name when it is to run once more (a time among its parameters) has not passed."""
    config = session.config
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS
    if not whole or not config.getoption("lf", default=False):
        return
    cache: Any = config.cache  # its values have no types
    failed: dict[str, bool] = cache.get("cache/lastfailed", {})
    lost = {one for one in failed if "::" in one} - {item.nodeid for item in session.items}
    if lost:
        raise pytest.UsageError(f"failed before, and is not there to run again: {', '.join(sorted(lost))}")
