"""Sweeps of many small jobs: what a job costs beside its step, and two processes against one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.loop import environment, tell
from tests.bench.rows import Row

TINY = ("image.size=32", "steps=1", "snapshot_every=1", "logger=none", "init=noise")
VECTORIZED = ("-m", "hydra/launcher=vectorized")
FEW, MANY = 10, 1000
ALONE = 40
"""Jobs of the sweep without batches: each takes longer, and costs what the others do."""

PROCESSES = (
    *("-m", "image.size=64", "steps=60", "snapshot_every=60", "logger=none", "init=noise"),
    *("seed=0,1,2,3,4,5,6,7", "weights=mild,strong"),
)
ROUNDS = 2

DEFAULT = ("logger=none",)
"""As ``nst`` without arguments."""

LATER = "outputs/runs/*/snapshots/*[1-9]*.png"
"""Snapshots after step 0."""

LOG = "output.log"


@dataclass(frozen=True)
class Used:
    """What a command used: seconds, and its largest memory in MB."""

    seconds: float
    memory: float


def measure(
    few: int = FEW, many: int = MANY, alone: int = ALONE, rounds: int = ROUNDS
) -> list[Row]:
    """All rows of this part.

    Args:
        few: jobs of the short sweep.
        many: jobs of the long one.
        alone: jobs of the long one without batches.
        rounds: how often two processes and one take their turn.
    """
    rows = [
        _start_up(),
        _first_picture("many: the first step of a run", 4.0, *TINY),
        _first_picture("many: the first picture of a run of 256 px", 6.0, *DEFAULT),
    ]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        tell(f"many: {few} and {many} jobs, vectorised")
        short = run(place, *VECTORIZED, *TINY, _seeds(0, few))
        long = run(place, *VECTORIZED, *TINY, _seeds(few, many))
        tell(f"many: the same {many} jobs, finished")
        again = run(place, *VECTORIZED, *TINY, _seeds(few, many))
        nothing = run(place, *VECTORIZED, *TINY, _seeds(0, few))
        tell(f"many: {alone} jobs, one by one")
        one = run(place, "-m", *TINY, _seeds(few + many, few))
        one_by_one = run(place, "-m", *TINY, _seeds(2 * few + many, alone))
    rows += [
        Row(
            "many: a further job, vectorised, its step included (32 px)",
            "s",
            (long.seconds - short.seconds) / (many - few),
            goal=0.25,
            better="lower",
        ),
        Row(
            "many: a further job, one by one, its step included (32 px)",
            "s",
            (one_by_one.seconds - one.seconds) / (alone - few),
            goal=0.5,
            better="lower",
        ),
        Row(
            f"many: memory of {many} jobs above that of {few}",
            "MB",
            long.memory - short.memory,
            goal=200,
            better="lower",
        ),
        Row(
            "many: a further job that is finished",
            "ms",
            1000 * (again.seconds - nothing.seconds) / (many - few),
            goal=12,  # 10,000 jobs in 120 s
            better="lower",
        ),
    ]
    return [*rows, _processes(rounds)]


def _seeds(first: int, count: int) -> str:
    return f"seed=range({first},{first + count})"


def _start_up() -> Row:
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), "--help")
        seconds = run(Path(folder), "--help").seconds
    return Row("many: nst --help", "s", seconds, goal=1.5, better="lower")


def _first_picture(figure: str, goal: float, *settings: str) -> Row:
    """From the command to the first snapshot after step 0, with its pictures and weights cached."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        run(place, *settings, "steps=1", "outputs=before")
        seconds = first_snapshot(place, *settings)
    return Row(figure, "s", seconds, goal=goal, better="lower")


def _processes(rounds: int) -> Row:
    """The same sweep by two processes of one core each, and by one process of two."""
    ratios, ours, theirs = [], [], []
    launcher = "hydra/launcher=vectorized_local"
    two = (launcher, "hydra.launcher.over.processes=2", "hydra.launcher.over.cores=1")
    for number in range(rounds):
        tell(f"many: two processes and one: round {number + 1}/{rounds}")
        seconds = []
        for own in (two, ("hydra/launcher=vectorized",)):
            with tempfile.TemporaryDirectory() as folder:
                seconds.append(run(Path(folder), *PROCESSES, *own).seconds)
        ours.append(seconds[0])
        theirs.append(seconds[1])
        ratios.append(seconds[1] / seconds[0])
    return Row(
        "many: 16 runs, 64 px: two processes of one core each, against one of two",
        "s",
        sorted(ours)[len(ours) // 2],
        sorted(theirs)[len(theirs) // 2],
        sorted(ratios)[len(ratios) // 2],
    )


def run(folder: Path, *arguments: str) -> Used:
    """Runs ``nst`` to its end, from nothing.

    Raises:
        RuntimeError: if it fails.
    """
    began = time.perf_counter()
    process = _start(folder, arguments)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise RuntimeError(f"nst {' '.join(arguments)}: {_said(folder)}")
    return Used(seconds, used.ru_maxrss / 1024)


def first_snapshot(folder: Path, *arguments: str) -> float:
    """Seconds until ``nst`` has written a snapshot after step 0; the run is killed then.

    Raises:
        RuntimeError: if it ends without one.
    """
    began = time.time()
    process = _start(folder, arguments)
    try:
        while not (found := list(folder.glob(LATER))):
            if process.poll() is not None and not list(folder.glob(LATER)):
                raise RuntimeError(f"no snapshot: {_said(folder)}")
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    return min(each.stat().st_mtime for each in found) - began


def _start(folder: Path, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "nst", *arguments]
    with (folder / LOG).open("wb") as log:
        return subprocess.Popen(command, cwd=folder, env=environment(), stdout=log, stderr=log)


def _said(folder: Path) -> str:
    return (folder / LOG).read_text(errors="replace")[-2000:]
