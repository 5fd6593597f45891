"""A sweep that Slurm requeues while it runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from nst.runner.record import INTERRUPTED, RunRecord, read_status
from nst.sweeps import sweep_folder
from tests.callbacks import FOUND, calling
from tests.commands import wait_until
from tests.run_folders import wait_for_checkpoint
from tests.scale.processes import run

STEPS = 100
RUN = (
    *("-m", "image.size=32", f"steps={STEPS}", "snapshot_every=50", "logger=none", "init=noise"),
    *("seed=0,1", "checkpoint_seconds=2", calling("Slow"), "hydra.launcher.workers=1"),
)


def measured(folder: Path, settings: Sequence[str], environment: Mapping[str, str]) -> str:
    """Requeues both of its runs, a batch, after their first checkpoint.

    Returns:
        At which step they were interrupted, and from which they went on.

    Raises:
        RuntimeError: if a run is not completed, or began anew.
    """
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "nst", *RUN, *settings],
        cwd=folder,
        env={**os.environ, **FOUND, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_checkpoint(process, folder)
    (job,) = run(folder, environment, ["squeue", "--noheader", "--format=%i"]).split()
    run(folder, environment, ["scontrol", "requeue", job])
    places = list((folder / "outputs/runs").iterdir())
    wait_until(lambda: all(read_status(place) == INTERRUPTED for place in places), process)
    reached = max(row["step"] for place in places for row in RunRecord(place).rows)
    _, err = process.communicate(timeout=600)
    (sweep,) = (folder / "outputs/sweeps").iterdir()
    log = (sweep / "parts/0.log").read_text()
    statuses = [each.outcome for each in sweep_folder.outcomes(sweep)]
    restarts = [int(each) for each in re.findall(r"resuming from step (\d+)", log)]
    if process.returncode or statuses != ["completed"] * 2 or not restarts or not restarts[0]:
        raise RuntimeError(f"status {process.returncode}, {statuses}\n{err[-2000:]}\n{log[-4000:]}")
    return f"requeued after {reached + 1:.0f} of {STEPS} steps, went on from step {restarts[0]}"
