"""Neural style transfer as tracked, sweepable experiments.

``nst.run``, ``nst.sweep``, ``nst.runs``, ``nst.compose`` and ``nst.report`` do in Python what the
commands do (``docs/python.md``). They are imported when they are used: ``import nst`` is fast.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nst.utils.allocator import keep_freed_memory
from nst.utils.light_imports import defer_imports

if TYPE_CHECKING:
    from nst.api import Run, Runs, compose, report, run, runs, sweep

__version__ = "0.1.0"

__all__ = ["Run", "Runs", "compose", "report", "run", "runs", "sweep"]

# Intel's matrix multiplication otherwise picks its code by memory alignment and load, and the same
# run gives two pictures (seen where features shrink to one pixel). Read when the library is first
# used, so it must be set before torch is. Costs nothing that could be measured.
os.environ.setdefault("MKL_CBWR", "AUTO")

keep_freed_memory()
defer_imports()


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("nst.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
