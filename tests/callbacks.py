"""Callbacks of Lightning's for runs in processes of their own.

Such a process finds them if ``PYTHONPATH`` has the root of the repository.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback

FOUND = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])}
"""The environment of a process that finds them."""

KILLED = "killed"
"""A file beside the runs, that says that a process was killed."""


def calling(name: str) -> str:
    """The override that adds a callback."""
    return f"+trainer.callbacks=[{{_target_: {__name__}.{name}}}]"


class KillOnce(Callback):
    """Kills the process of the run with seed 0 after its first step, but once only."""

    def on_train_batch_end(self, trainer: Any, module: Any, *args: Any) -> None:
        marker = Path(module.runs[0].config.outputs, KILLED)
        if module.runs[0].config.seed == 0 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Slow(Callback):
    """Each step takes 0.2 s more."""

    def on_train_batch_end(self, *args: Any) -> None:
        time.sleep(0.2)
