"""A sweep has one folder and one record, whatever its jobs change and wherever they run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, run_job
from omegaconf import open_dict
from PIL import Image

from nst.cli.main import invoke
from nst.compare.select import entries, select
from nst.runner.record import COMPLETED, DIVERGED, FAILED, read_config
from nst.sweeps import sweep_folder
from nst.sweeps.sweep import Sweep
from nst.sweeps.sweep_folder import JobOutcome
from tests.callbacks import FOUND, calling
from tests.helpers import slow

pytestmark = pytest.mark.usefixtures("tiny_backbone")

TINY = ("image.size=32", "steps=1", "logger=none")
Launch = Callable[[BasicLauncher, Sequence[Sequence[str]], int], Sequence[JobReturn]]


def record(place: Path) -> tuple[Path, list[list[str]], list[JobOutcome]]:
    """Folder, jobs and outcomes of the only sweep in an output folder."""
    (folder,) = (place / "sweeps").iterdir()
    jobs = json.loads((folder / "jobs.json").read_text())["jobs"]
    return folder, jobs, sweep_folder.outcomes(folder)


@pytest.mark.parametrize(
    "swept",
    [
        ("hydra.job.chdir=true", "content.path=rel.png", "init=noise,content"),
        ("outputs=outputs,other",),
        ("+experiments=weights,two_noises",),
    ],
    ids=["chdir", "outputs", "experiments"],
)
def test_a_sweep_has_one_record(
    swept: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.linear_gradient("L").save("rel.png")
    assert invoke(["-m", *swept, *TINY]) == 0
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == "sweep: 2 completed"
    folder, jobs, ended = record(tmp_path / "outputs")
    assert [each.number for each in ended] == [0, 1]
    assert len({tuple(job) for job in jobs}) == 2
    assert (folder / "side_by_side.png").is_file()
    runs = [str(each.folder.relative_to(tmp_path)) for each in ended if each.folder]
    picture = f"side by side: {(folder / 'side_by_side.png').relative_to(tmp_path)}"
    printed = [*runs, picture, *runs]  # each run as it ends, the picture, each run at the end
    # among lines of Hydra's log
    assert [line for line in said.out.splitlines() if line in printed] == printed
    # nothing in a place that a job was in
    assert {path.name for path in tmp_path.iterdir()} <= {"outputs", "other", "rel.png"}


def launched_by(monkeypatch: pytest.MonkeyPatch, launch: Launch) -> None:
    """Has the default launcher launch as another engine does."""
    name = f"{BasicLauncher.__module__}.{BasicLauncher.__name__}"
    # Hydra loads its plugins anew: its class is another than the one that is imported
    monkeypatch.setattr(Plugins.instance().class_name_to_class[name], "launch", launch)


launch_here: Launch = BasicLauncher.launch


def test_relative_paths_hold_on_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with Ray: jobs are composed where the command was typed, and run in another folder."""
    home, worker = tmp_path / "home", tmp_path / "worker"
    home.mkdir()
    worker.mkdir()
    Image.linear_gradient("L").save(home / "rel.png")

    def launch(
        self: BasicLauncher, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> list[JobReturn]:
        assert self.hydra_context is not None
        assert self.config is not None
        assert self.task_function is not None
        loader, returns = self.hydra_context.config_loader, []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            config = loader.load_sweep_config(self.config, list(overrides))
            with open_dict(config):
                config.hydra.job.id = config.hydra.job.num = number
            with monkeypatch.context() as there:
                there.chdir(worker)
                keys = ("hydra.sweep.dir", "hydra.sweep.subdir")
                returns.append(run_job(self.task_function, config, *keys, self.hydra_context))
        return returns

    launched_by(monkeypatch, launch)
    monkeypatch.chdir(home)
    words = ("content.path=rel.png", "style.path=rel.png", "init=noise,content", "outputs=mine")
    assert invoke(["-m", *words, *TINY]) == 0
    assert list(worker.iterdir()) == []
    *_, ended = record(home / "mine")
    assert [each.outcome for each in ended] == [COMPLETED, COMPLETED]
    assert {each.folder.parent for each in ended if each.folder} == {home / "mine/runs"}


def test_jobs_without_an_outcome_are_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    launched_by(monkeypatch, lambda self, jobs, first: launch_here(self, jobs[:1], first))
    monkeypatch.chdir(tmp_path)
    assert invoke(["-m", "seed=0,1,2", "init=noise", *TINY]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "sweep: 1 completed, 2 not finished"


def test_an_engine_that_fails_leaves_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def launch(self: BasicLauncher, jobs: Sequence[Sequence[str]], first: int) -> Any:
        launch_here(self, jobs[:1], first)
        raise RuntimeError("a node is gone")

    launched_by(monkeypatch, launch)
    monkeypatch.chdir(tmp_path)
    assert invoke(["-m", "seed=0,1", "init=noise", *TINY]) == 1
    said = capsys.readouterr().err.splitlines()
    failure = next(line for line in said if line.startswith("nst: the launcher failed"))
    assert "RuntimeError: a node is gone" in failure
    assert failure.endswith("run the same command again for the missing jobs")
    assert said[-1] == "sweep: 1 completed, 1 not finished"


def test_a_job_that_an_engine_lost_does_not_end_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def launch(self: BasicLauncher, jobs: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        lost = JobReturn()
        lost.status, lost.return_value = JobStatus.FAILED, ConnectionError("worker lost")
        return [lost, *launch_here(self, jobs[1:], first + 1)]

    launched_by(monkeypatch, launch)
    monkeypatch.chdir(tmp_path)
    batches = "hydra.sweeper.max_batch_size=2"
    assert invoke(["-m", "seed=0,1,2", "init=noise", batches, *TINY]) == 1
    *_, ended = record(tmp_path / "outputs")
    assert [each.outcome for each in ended] == [FAILED, COMPLETED, FAILED]
    assert ended[0].why == "ConnectionError: worker lost"
    assert capsys.readouterr().err.splitlines()[-1] == "sweep: 2 failed, 1 completed"


def test_jobs_are_numbered_through(tmp_path: Path) -> None:
    """Sweepers that launch several times may count from 0 again."""
    swept = Sweep()
    swept.folder = tmp_path
    assert swept.launch([["seed=0"], ["seed=1"]]) == 0
    assert swept.launch([["seed=2"]]) == 2
    assert swept.jobs == [["seed=0"], ["seed=1"], ["seed=2"]]


@pytest.mark.parametrize("mode", [[], ["-m"]], ids=["run", "sweep"])
@pytest.mark.parametrize("key", ["outputs", "hydra.sweep.dir"])
@pytest.mark.parametrize("value", ["s3://bucket/nst", "file:///tmp/x", "gs:/bucket"])
def test_an_address_is_no_output_folder(
    mode: list[str],
    key: str,
    value: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if key != "outputs" and not mode:
        return
    monkeypatch.chdir(tmp_path)
    assert invoke([*mode, f"{key}={value}", *TINY]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"nst: {key}={value}: must be a folder of this machine")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("swept", "column"),
    [
        ("seed=shuffle(range(0,4))", None),
        ("style=glob([mo*,wa*])", ["style=mosaic", "style=waves"]),
        ("weights.tv=tag(few,choice(0,0.5))", ["weights.tv=0", "weights.tv=0.5"]),
    ],
    ids=["shuffle", "glob", "choice"],
)
def test_the_table_has_the_jobs_that_hydra_launched(
    swept: str,
    column: list[str] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke(["-m", swept, "init=noise", *TINY]) == 0
    _, jobs, ended = record(tmp_path / "outputs")
    assert len(ended) == len(jobs) == len(column or range(4))
    for each in ended:
        assert each.folder is not None
        assert read_config(each.folder)["run"]["overrides"] == jobs[each.number]
    table = capsys.readouterr().err
    assert all(word in table for word in column or [f"seed={seed}" for seed in range(4)])


def test_the_last_sweep_is_the_one_that_began_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name says nothing: it may have been chosen, or have a number."""
    monkeypatch.chdir(tmp_path)
    for number, chosen in enumerate(["zz", "outputs/sweeps/mine-9999-2", ""]):
        folder = [f"hydra.sweep.dir={chosen}"] if chosen else []
        assert invoke(["-m", f"seed={number}", "init=noise", *folder, *TINY]) == 0
        (last,) = select(entries(Path("outputs")), ["sweep=last"])
        assert last.run.settings["seed"] == number
    # a sweep that finds its run finished
    again = ["-m", "seed=1", "init=noise", "hydra.sweep.dir=outputs/sweeps/again", *TINY]
    assert invoke(again) == 0
    (last,) = select(entries(Path("outputs")), ["sweep=last"])
    assert last.run.settings["seed"] == 1


def test_records_of_earlier_versions_are_read(tmp_path: Path) -> None:
    (tmp_path / "runs.jsonl").write_text(
        '[1, "completed", "/x/run", ""]\n[0, "failed", null, "steps=0: must be"]\n[2, "comp'
    )
    (tmp_path / "0").mkdir()
    first, second = sweep_folder.outcomes(tmp_path)
    assert first == JobOutcome(0, FAILED, None, "steps=0: must be", refused=True)
    assert second == JobOutcome(1, COMPLETED, Path("/x/run"))


def test_a_damaged_record_hides_no_other(tmp_path: Path) -> None:
    for number, outcome in enumerate((COMPLETED, FAILED, DIVERGED)):
        sweep_folder.record(tmp_path, JobOutcome(number, outcome, None))
    for number, content in enumerate(('{"number": 0', "[]")):
        (tmp_path / f"outcomes/{number}.json").write_text(content)
    assert sweep_folder.outcomes(tmp_path) == [JobOutcome(2, DIVERGED, None)]


@slow
def test_a_killed_worker_of_joblib_does_not_hide_the_others(tmp_path: Path) -> None:
    """The real launcher, with processes of its own; then the same command runs what is missing."""
    joblib = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1", "init=noise")
    command = [sys.executable, "-m", "nst", "-m", *joblib, calling("KillOnce"), *TINY]

    def run() -> subprocess.CompletedProcess[str]:
        own = {**os.environ, **FOUND, "COLUMNS": "200"}
        return subprocess.run(
            command, cwd=tmp_path, env=own, capture_output=True, text=True, check=False
        )

    first = run()
    assert first.returncode == 1, first.stderr
    assert "nst: the launcher failed: TerminatedWorkerError" in first.stderr
    assert "Traceback" not in first.stderr.split("nst: the launcher failed")[1]
    assert first.stderr.splitlines()[-1].startswith("sweep: ")
    assert "not finished" in first.stderr.splitlines()[-1]
    again = run()
    assert again.returncode == 0, again.stderr
    assert "not finished" not in again.stderr
    assert len(list((tmp_path / "outputs/runs").glob("*/final.png"))) == 2
