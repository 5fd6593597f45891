"""Studies that are killed, and that two processes share."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from nst.sweeps.search import record
from nst.sweeps.search.record import TrialRecord
from tests.commands import Process, wait_until
from tests.helpers import slow, started

TRIALS = 9
SEARCH = (
    *("-m", "hydra/sweeper=optuna", "hydra/launcher=vectorized", "study=s"),
    *("objective=[content_distance,patch_distance]", "weights.style=tag(log,interval(1e2,1e7))"),
    *("layers=report,deep", "image.size=32", "steps=8", "snapshot_every=4", "logger=none"),
    *(f"hydra.sweeper.n_trials={TRIALS}", "hydra.sweeper.trials_per_batch=3", "init=noise"),
)


def _count(folder: Path, state: str) -> int:
    """Trials in a state, whatever another process writes at the moment."""
    path = folder / "outputs/studies/s.db"
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(path, timeout=60)) as file:
            query = "SELECT COUNT(*) FROM trials WHERE state = ?"
            return int(file.execute(query, [state]).fetchone()[0])
    except sqlite3.OperationalError:  # the tables are being made
        return 0


def _is_in_batch(folder: Path, finished: int) -> bool:
    """Whether so many trials are finished and others have begun."""
    return _count(folder, "COMPLETE") >= finished and _count(folder, "RUNNING") > 0


def _trials(folder: Path) -> list[TrialRecord]:
    return record.read(folder / "outputs", "s").trials


def _end(process: Process) -> None:
    _, err = process.communicate()
    assert process.returncode == 0, err


@slow  # within a batch, in the process of the tests: tests/integration/test_search.py
@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp"])
def test_killed_studies_end_as_uninterrupted_ones(sampler: str, tmp_path: Path) -> None:
    """kill -9, twice; then the same trials with the same values, and no other."""
    arguments = [*SEARCH, f"hydra/sweeper/sampler={sampler}"]
    for name in ("peace", "war"):
        (tmp_path / name).mkdir()
    _end(started(arguments, tmp_path / "peace"))
    for number in (3, 6):
        process = started(arguments, tmp_path / "war")
        wait_until(partial(_is_in_batch, tmp_path / "war", number), process)
        process.kill()
        process.communicate()
    assert _count(tmp_path / "war", "COMPLETE") < TRIALS
    assert _count(tmp_path / "war", "RUNNING") > 0
    _end(started(arguments, tmp_path / "war"))
    peace, war = _trials(tmp_path / "peace"), _trials(tmp_path / "war")
    assert [trial.status for trial in war] == ["completed"] * TRIALS
    assert [trial.settings for trial in war] == [trial.settings for trial in peace]
    assert [trial.values for trial in war] == [trial.values for trial in peace]
    assert not list((tmp_path / "war/outputs/studies").glob(".s-*.lease"))


def test_two_processes_share_a_study(tmp_path: Path) -> None:
    """Each trial is computed by one of them; together they make as many as were wanted."""
    both = [started([*SEARCH], tmp_path) for _ in range(2)]
    for process in both:
        _end(process)
    trials = _trials(tmp_path)
    assert Counter(trial.status for trial in trials) == {"completed": TRIALS}
    folders = [path.parent for path in (tmp_path / "outputs/sweeps").glob("*/jobs.json")]
    assert len(folders) == 2
    assert all(list(folder.glob("outcomes/*.json")) for folder in folders)


PRUNER = "++hydra.sweeper.pruner={_target_: optuna.pruners.ThresholdPruner, upper: 1e4}"


@slow
@pytest.mark.parametrize(
    "settings",
    [
        ("objective=[loss]", PRUNER),
        ("objective=[loss,loss/style]", "hydra.sweeper.stop_dominated=0"),
    ],
)
def test_workers_of_joblib_prune(settings: tuple[str, ...], tmp_path: Path) -> None:
    """A worker has no study; it opens the file to report a snapshot, and to ask for its end."""
    command = (
        *(sys.executable, "-m", "nst", "-m", "hydra/sweeper=optuna"),
        *("hydra/sweeper/sampler=random", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
        *("hydra.sweeper.n_trials=8", "hydra.sweeper.trials_per_batch=2", "study=s"),
        *("weights.style=1,1e28,1e29,1e30", "divergence=null", "init=noise"),
        *("logger=none", "image.size=32", "steps=3", "snapshot_every=1"),
    )
    ended = subprocess.run(
        [*command, *settings], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, set[str]] = {}
    for trial in _trials(tmp_path):
        found.setdefault(trial.settings["weights.style"], set()).add(trial.status)
    assert found.pop("1") == {"completed"}
    assert "pruned" in set().union(*found.values())
