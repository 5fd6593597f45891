"""``import nst``: the five functions that notebooks and scripts use, and what they return."""

from nst.api.compositions import compose
from nst.api.execution import run, sweep
from nst.api.reports import report
from nst.api.result import Run
from nst.api.selection import Runs, runs

__all__ = ["Run", "Runs", "compose", "report", "run", "runs", "sweep"]
