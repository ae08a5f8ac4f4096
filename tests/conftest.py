"""For every test: collection without the garbage collector.

Some releases of CPython 3.11 count the recursion of AST building per interpreter; a collection that runs Python code in the
middle of pytest's assertion rewriting can make them raise "AST constructor recursion depth mismatch".
"""

import gc

gc.disable()


def pytest_collection_finish() -> None:
    gc.enable()
