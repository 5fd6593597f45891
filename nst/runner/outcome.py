"""How a run of a job ended, computed or not."""

from __future__ import annotations

import gc
import os
import traceback
from pathlib import Path
from typing import NamedTuple

from nst.runner.record import DIVERGED, FAILED, PRUNED
from nst.utils.allocator import give_back_freed_memory
from nst.utils.errors import DivergedError, PrunedError

FINISHED_BEFORE = "finished before"
SKIPPED = "skipped"


class Outcome(NamedTuple):
    """How a run ended.

    Attributes:
        status: ``COMPLETED``, ``FINISHED_BEFORE``, ``SKIPPED`` (by ``retry=failed``), ``FAILED``,
            ``DIVERGED`` or ``PRUNED``.
        error: why it failed, diverged or was pruned; else None.
        folder: its run folder; None if it could not begin.
    """

    status: str
    error: Exception | None = None
    folder: Path | None = None

    @classmethod
    def from_error(cls, error: Exception) -> Outcome:
        """The outcome of a run that this error ended. Drops the error's references to frames."""
        release(error)
        for kind, status in ((DivergedError, DIVERGED), (PrunedError, PRUNED)):
            if isinstance(error, kind):
                return cls(status, error)
        return cls(FAILED, error)


def release(error: BaseException | None) -> None:
    """Frees what a failed run computed with, before the next run needs the memory."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        if not os.environ.get("NST_FULL_ERROR"):  # else it is to be shown
            error.__traceback__ = None  # would keep what all callers hold, until the sweep ends
        error = error.__cause__ or error.__context__
    gc.collect()
    give_back_freed_memory()
