"""A run names the jobs of its sweep, which are in one file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nst.config.experiment import ExperimentJob, ExperimentSweep
from nst.runner.experiment_jobs import join, names, read

JOBS = [["+experiments=e", f"seed={seed}"] for seed in range(500)]
SWEEP = ExperimentSweep(JOBS, "base", "2026-01-01T00:00:00+00:00")


def _job(number: int, sweep: ExperimentSweep = SWEEP) -> ExperimentJob:
    return ExperimentJob({"name": "e"}, JOBS[number], sweep)


def _joined(outputs: Path, *jobs: ExperimentJob) -> Path:
    folder = outputs / "runs" / f"r{jobs[0].overrides[1]}"
    folder.mkdir(parents=True)
    for job in jobs:
        join(folder, outputs, job)
    return folder


def test_what_is_written_is_read(tmp_path: Path) -> None:
    folders = [_joined(tmp_path, _job(0), _job(2)), _joined(tmp_path, _job(1))]
    own = sorted(read(folders[0]), key=lambda job: job.overrides)
    assert [own, read(folders[1])] == [[_job(0), _job(2)], [_job(1)]]
    assert names(folders[0]) == ["e"]
    # the jobs are in one file, and in memory once
    (shared,) = (tmp_path / "experiments").iterdir()
    assert read(folders[0])[0].sweep.jobs is read(folders[1])[0].sweep.jobs
    assert all(path.stat().st_size < 500 for path in tmp_path.glob("runs/*/experiments/*"))
    assert shared.stat().st_size > 10_000


def test_a_run_on_its_own_has_no_sweep(tmp_path: Path) -> None:
    alone = _job(0, ExperimentSweep([], "", "2026"))
    assert read(_joined(tmp_path, alone)) == [alone]
    assert not (tmp_path / "experiments").exists()


def test_a_refused_job_is_in_the_folder_of_its_sweep(tmp_path: Path) -> None:
    sweep = tmp_path / "sweeps/s"
    (sweep / "7").mkdir(parents=True)
    join(sweep / "7", sweep, _job(7))
    assert read(sweep / "7") == [_job(7)]


def test_records_of_earlier_versions_have_the_jobs(tmp_path: Path) -> None:
    record = {"experiment": {"name": "e"}, "overrides": JOBS[3], "jobs": JOBS[:4]}
    (tmp_path / "experiments").mkdir()
    path = tmp_path / "experiments/e-1.json"
    path.write_text(json.dumps({**record, "base": "b", "asked": "2026"}))
    (found,) = read(tmp_path)
    assert found == _job(3, ExperimentSweep(JOBS[:4], "b", "2026"))


@pytest.mark.parametrize("wrong", [None, "{", '{"jobs": [[1]]}', '{"jobs": 1}', "{}"])
def test_without_the_jobs_a_record_is_skipped(
    tmp_path: Path, wrong: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    folder = _joined(tmp_path, _job(0))
    (shared,) = (tmp_path / "experiments").iterdir()
    if wrong is None:
        shared.unlink()
    else:
        shared.write_text(wrong)
    assert read(folder) == []
    assert "skipped, truncated or altered" in caplog.text
