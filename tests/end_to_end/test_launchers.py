"""Batches in processes of their own: ``vectorized_local``, and ``vectorized_joblib`` likewise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

from nst.runner.record import RunRecord, read_facts
from nst.sweeps import part_progress, sweep_folder
from nst.sweeps.search.record import read
from nst.sweeps.search.study import storage
from nst.sweeps.sweep_folder import JobOutcome
from tests.callbacks import FOUND, calling
from tests.commands import LIMIT
from tests.helpers import first_of, nst, slow
from tests.run_folders import contents, wait_for_checkpoint

TINY = ("image.size=32", "steps=4", "snapshot_every=2", "logger=none", "precision=32", "init=noise")
ONE = {"OMP_NUM_THREADS": "1"}
LAUNCHERS = {
    "vectorized_local": ("hydra.launcher.over.processes=2", "hydra.launcher.over.cores=1"),
    "vectorized_joblib": ("hydra.launcher.over.n_jobs=2",),
}


def _command(launcher: str, *own: str) -> list[str]:
    return ["-m", f"hydra/launcher={launcher}", *LAUNCHERS[launcher], *TINY, *own]


def _outcomes(cwd: Path) -> list[JobOutcome]:
    return sweep_folder.outcomes(max((cwd / "outputs/sweeps").iterdir()))


def _with_callback(cwd: Path, name: str, *command: str) -> subprocess.Popen[str]:
    """Starts a command with a callback, from nothing: so that its workers find the module."""
    return subprocess.Popen(
        [sys.executable, "-m", "nst", *command, calling(name)],
        cwd=cwd,
        env={**os.environ, **FOUND, "COLUMNS": "200", **ONE},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit status and standard error."""
    _, err = process.communicate(timeout=LIMIT)
    return process.returncode, err


@pytest.mark.parametrize("launcher", first_of([*LAUNCHERS]))
def test_as_in_one_process(launcher: str, tmp_path: Path) -> None:
    """Every picture, bit for bit where batches and threads are the same; and a refused job."""
    jobs = ("steps=4,0", "seed=0,1,2,3", "hydra.launcher.max_batch_size=2")
    (tmp_path / "one").mkdir()
    one = nst("-m", "hydra/launcher=vectorized", *TINY, *jobs, cwd=tmp_path / "one", **ONE)
    assert one.returncode == 2, one.stderr
    found = nst(*_command(launcher, *jobs), cwd=tmp_path, **ONE)
    assert found.returncode == 2, found.stderr
    assert "as 3 parts by" in found.stderr
    # the terminal has the progress of parts; what a worker says is in the file of its part
    (sweep,) = (tmp_path / "outputs/sweeps").iterdir()
    assert "step 4/4" in (sweep / "parts/0.log").read_text()
    assert "step 4/4" not in found.stderr
    expected = _outcomes(tmp_path / "one")
    ended = _outcomes(tmp_path)
    assert [each.outcome for each in ended] == [each.outcome for each in expected]
    assert [each.why for each in ended] == [each.why for each in expected]
    assert [each.outcome for each in ended] == ["completed"] * 4 + ["failed"] * 4
    runs = sorted(path.name for path in (tmp_path / "outputs/runs").iterdir())
    assert runs == sorted(path.name for path in (tmp_path / "one/outputs/runs").iterdir())
    for name in runs:
        assert contents(tmp_path / "outputs/runs" / name) == contents(
            tmp_path / "one/outputs/runs" / name
        )
    assert (max((tmp_path / "outputs/sweeps").iterdir()) / "side_by_side.png").exists()


@pytest.mark.parametrize("launcher", first_of([*LAUNCHERS]))
def test_a_search_with_two_batches_in_flight(launcher: str, tmp_path: Path) -> None:
    """The workers of both report to the study at each snapshot, and it is told of all trials."""
    search = (
        *("hydra/sweeper=optuna", "study=s", "objective=[patch_distance]", "snapshot_every=1"),
        *("weights.style=tag(log,interval(1,1e6))", "hydra.launcher.max_batch_size=2"),
        *("hydra.sweeper.n_trials=4", "hydra.sweeper.trials_per_batch=4"),
        "hydra/sweeper/pruner=median",
    )
    found = nst(*_command(launcher, *search), cwd=tmp_path, **ONE)
    assert found.returncode == 0, found.stderr
    assert (found.stdout + found.stderr).count("as 2 parts by") == 1
    outputs = tmp_path / "outputs"
    for trial in read(outputs, "s").trials:
        assert trial.status == "completed"
        assert trial.run is not None
        run = RunRecord(outputs / "runs" / trial.run)
        assert float(trial.settings["weights.style"]) == run.config["weights"]["style"]
        assert trial.values == [run.measure("patch_distance")]
    study = optuna.load_study(study_name="s", storage=storage(outputs, "s"))
    assert [[*trial.intermediate_values] for trial in study.trials] == [[1, 2]] * 4


@slow
@pytest.mark.parametrize("launcher", [*LAUNCHERS])
def test_a_killed_worker_loses_its_batch_alone(launcher: str, tmp_path: Path) -> None:
    """Unless the engine ends with it; the same command runs what is missing."""
    command = _command(launcher, "seed=0,1,2,3", "hydra.launcher.max_batch_size=2")
    status, err = _ended(_with_callback(tmp_path, "KillOnce", *command))
    assert status == 1, err
    ended = {each.number: each for each in _outcomes(tmp_path)}
    if launcher == "vectorized_local":
        assert [ended[number].outcome for number in range(4)] == ["failed"] * 2 + ["completed"] * 2
        assert ended[0].why == ended[1].why == "its process ended by SIGKILL"
    (sweep,) = (tmp_path / "outputs/sweeps").iterdir()
    assert part_progress.progress(sweep)[0].state in (part_progress.DONE, part_progress.LOST)
    status, err = _ended(_with_callback(tmp_path, "KillOnce", *command))
    assert status == 0, err
    assert len(list((tmp_path / "outputs/runs").glob("*/final.png"))) == 4


SLOWED = ("checkpoint_seconds=0", "steps=40", "seed=0,1,2,3", "hydra.launcher.max_batch_size=2")


@slow
def test_a_stopped_sweep_resumes(tmp_path: Path) -> None:
    """SIGTERM to the command interrupts its workers, whose runs have checkpoints."""
    command = _command("vectorized_local", *SLOWED)
    process = _with_callback(tmp_path, "Slow", *command)
    wait_for_checkpoint(process, tmp_path)
    process.send_signal(signal.SIGTERM)
    status, err = _ended(process)
    assert status == 128 + signal.SIGTERM, err
    assert "4 not finished" in err
    folders = list((tmp_path / "outputs/runs").iterdir())
    assert {read_facts(folder)["status"] for folder in folders} == {"interrupted"}
    status, err = _ended(_with_callback(tmp_path, "Slow", *command))
    assert status == 0, err
    assert err.count("resuming from step") >= 2
    assert {each.outcome for each in _outcomes(tmp_path)} == {"completed"}


@slow
def test_a_killed_command_takes_its_workers_along(tmp_path: Path) -> None:
    """kill -9 to the command: the workers write checkpoints and end."""
    process = _with_callback(tmp_path, "Slow", *_command("vectorized_local", *SLOWED))
    wait_for_checkpoint(process, tmp_path)
    process.kill()
    process.wait()
    deadline = time.monotonic() + LIMIT
    statuses = {"running"}
    while "running" in statuses and time.monotonic() < deadline:
        time.sleep(0.1)
        folders = (tmp_path / "outputs/runs").iterdir()
        statuses = {read_facts(folder).get("status", "running") for folder in folders}
    assert statuses == {"interrupted"}
    (sweep,) = (tmp_path / "outputs/sweeps").iterdir()
    assert sweep_folder.outcomes(sweep) == []
