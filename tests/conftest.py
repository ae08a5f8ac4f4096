"""For every test: collection without the garbage collector, and child processes that keep their bytecode.

Some releases of CPython 3.11 count the recursion of AST building per interpreter; a collection that runs Python code in the
middle of pytest's assertion rewriting can make them raise "AST constructor recursion depth mismatch".

The processes that tests start are the installed product, which keeps its bytecode; compiling it anew costs each start a second.
"""

import gc
import os

import hypothesis

gc.disable()
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# A busy machine breaks no property; pytest's own time limit ends what hangs.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


def pytest_collection_finish() -> None:
    gc.enable()
