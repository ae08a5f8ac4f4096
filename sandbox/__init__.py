"""The practice cluster: a small Kubernetes API server with a shop that breaks and heals.

`python -m sandbox` runs it as a process; `async with sandbox.running() as cluster` inside a test.
"""

from sandbox.process import Running, running

__all__ = ["Running", "running"]
