"""The same sweep in one process, on a Slurm and on a Ray of two nodes each: ``make scale``.

On each engine one of the 24 jobs is refused, and one worker is killed. Ray runs its task again; on
Slurm the same command runs what is missing. Then every picture is compared with that of one
process. On Slurm, another sweep is requeued while it runs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from nst.runner.record import read_facts
from nst.sweeps import part_progress, sweep_folder
from tests.callbacks import FOUND, KILLED, calling
from tests.scale import ray, requeue, slurm
from tests.scale.processes import said

JOBS = 24
SIZE = 4
"""Jobs of a part."""

SWEEP = (
    *("-m", "image.size=32", "steps=8", "snapshot_every=4", "logger=none", "precision=32"),
    *("init=noise", f"seed={','.join(map(str, range(JOBS - 1)))},-1", calling("KillOnce")),
    f"hydra.launcher.max_batch_size={SIZE}",
)
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # as Ray and Slurm give each task
ROUNDING = 1
"""Levels of 255 by which a pixel may differ."""


@dataclass(frozen=True)
class Engine:
    """An engine.

    Attributes:
        cluster: starts it in an empty folder; gives what its commands need in the environment.
        settings: of its launcher.
        repeats: whether it runs the task of a killed worker again.
    """

    cluster: Callable[[Path], AbstractContextManager[Mapping[str, str]]]
    settings: tuple[str, ...]
    repeats: bool = False


ENGINES = {
    "slurm": Engine(
        slurm.cluster,
        (
            "hydra/launcher=vectorized_slurm",
            *("hydra.launcher.over.timeout_min=30", "hydra.launcher.over.array_parallelism=2"),
        ),
    ),
    "ray": Engine(
        ray.cluster,
        (
            *("hydra/launcher=vectorized_ray", "hydra.launcher.workers=2"),
            "+hydra.launcher.over.ray.init.address=auto",
            "+hydra.launcher.over.ray.init.object_store_memory=null",
        ),
        repeats=True,
    ),
}


def main() -> None:
    """Runs the engines that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__)
    parser.add_argument("engines", nargs="*", choices=[*ENGINES, []], help="default: all")
    chosen = parser.parse_args().engines or [*ENGINES]
    if "slurm" in chosen and (commands := slurm.missing()):
        sys.exit(f"missing: {', '.join(commands)}; apt-get install {' '.join(slurm.PACKAGES)}")
    with tempfile.TemporaryDirectory(prefix="nst") as place:  # short, for sockets
        root = Path(place)
        alone = root / "alone"
        (alone / "outputs").mkdir(parents=True)
        (alone / "outputs" / KILLED).touch()
        seconds = _sweep(alone, "hydra/launcher=vectorized", done=JOBS - 1)
        said(f"one process: {seconds:.0f} s")
        for name in chosen:
            own = root / name
            (own / "cluster").mkdir(parents=True)
            said(f"{name}: starting two nodes")
            with ENGINES[name].cluster(own / "cluster") as environment:
                _engine(name, own, alone, environment)


def _engine(name: str, folder: Path, alone: Path, environment: Mapping[str, str]) -> None:
    settings = ENGINES[name].settings
    before = JOBS - 1 - (0 if ENGINES[name].repeats else SIZE)
    seconds = _sweep(folder, *settings, done=before, environment=environment)
    (sweep,) = (folder / "outputs/sweeps").iterdir()
    workers = {each.worker for each in part_progress.progress(sweep)}
    if not (folder / "outputs" / KILLED).exists():
        raise RuntimeError("no worker was killed")
    said(f"{name}: {before} runs in {seconds:.0f} s by {len(workers)} workers; one was killed")
    if before < JOBS - 1:
        seconds = _sweep(folder, *settings, done=JOBS - 1, environment=environment)
        said(f"{name}: the same command completed the others in {seconds:.0f} s")
    said(f"{name}: {_compared(folder, alone)}")
    if name == "slurm":
        said(f"{name}: {requeue.measured(folder / 'requeued', settings, environment)}")


def _sweep(folder: Path, *settings: str, done: int, environment: Mapping[str, str] = {}) -> float:
    """Runs the sweep; seconds.

    Raises:
        RuntimeError: if not so many jobs are done and the others failed.
    """
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", "nst", *SWEEP, *settings],
        check=False,
        cwd=folder,
        env={**os.environ, **FOUND, **ONE_THREAD, **environment},
        capture_output=True,
        text=True,
    )
    outcomes = sweep_folder.outcomes(max((folder / "outputs/sweeps").iterdir()))
    found = Counter(each.outcome for each in outcomes)
    ended_well = found["completed"] + found["finished before"]
    if (ended_well, found["failed"]) != (done, JOBS - done) or not ended.returncode:
        raise RuntimeError(f"status {ended.returncode}, {dict(found)}\n{ended.stderr[-4000:]}")
    return time.monotonic() - began


def _compared(folder: Path, alone: Path) -> str:
    """How far the pictures are from those of one process.

    Raises:
        RuntimeError: if they differ by more than rounding.
    """
    largest, same = 0, 0
    runs = sorted((alone / "outputs/runs").iterdir())
    for run in runs:
        other = folder / "outputs/runs" / run.name
        if read_facts(other)["status"] != "completed":
            raise RuntimeError(f"{other}: not completed")
        own, theirs = (np.asarray(Image.open(each / "final.png"), int) for each in (run, other))
        difference = int(abs(own - theirs).max())
        largest, same = max(largest, difference), same + (difference == 0)
    if largest > ROUNDING:
        raise RuntimeError(f"a pixel differs by {largest} of 255")
    return f"{same} of {len(runs)} pictures are those of one process, bit for bit" + (
        f"; the others differ by {largest} of 255" if same < len(runs) else ""
    )


if __name__ == "__main__":
    main()
