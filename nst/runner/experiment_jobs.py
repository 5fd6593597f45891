"""Which jobs of experiments a run is: files in its folder, and one of each sweep beside the runs.

The overrides of all jobs of a sweep are in one file, which its runs name: with a copy in every run
folder, a sweep of ten thousand jobs would take 10 GB.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from nst.config.experiment import ExperimentJob, ExperimentSweep
from nst.utils.files import read_json, write_whole

log = logging.getLogger(__name__)

PLACE = "experiments"


def join(folder: Path, shared: Path, job: ExperimentJob) -> None:
    """Records that a run is a job of an experiment; it may be several jobs.

    Args:
        folder: of the run.
        shared: the folder whose ``experiments`` have the jobs of sweeps: that of the run, or the
            one above it.
        job: to record.
    """
    record = {"experiment": job.experiment, "overrides": job.overrides}
    path = folder / PLACE / f"{job.experiment['name']}-{_digest(job.overrides)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, record, shared, job.sweep)


def renew(folder: Path, shared: Path, overrides: Sequence[str], sweep: ExperimentSweep) -> None:
    """Moves the job of a run to a later sweep of the same experiment.

    Args:
        folder: of the run.
        shared: as for ``join``.
        overrides: of the job. Nothing happens if the run is no such job of an experiment.
        sweep: the later one.
    """
    for path in folder.glob(f"{PLACE}/*-{_digest(overrides)}.json"):
        _write(path, read_json(path), shared, sweep)


def _digest(overrides: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps([*overrides]).encode()).hexdigest()[:8]


def _write(path: Path, record: dict[str, Any], shared: Path, sweep: ExperimentSweep) -> None:
    jobs = shared / PLACE / f"{sweep.key}.json"
    if sweep.jobs and not jobs.exists():
        jobs.parent.mkdir(exist_ok=True)
        write_whole(jobs, f"{json.dumps({'jobs': sweep.jobs}, indent=1)}\n".encode())
    key = sweep.key if sweep.jobs else []
    found = {**record, "jobs": key, "base": sweep.base, "asked": sweep.asked}
    write_whole(path, f"{json.dumps(found, indent=1)}\n".encode())


def names(folder: Path) -> list[str]:
    """Names of the experiments that a run is part of."""
    return sorted({path.stem.rpartition("-")[0] for path in _files(folder)})


def read(folder: Path) -> list[ExperimentJob]:
    """The jobs of experiments that a run is; files that cannot be read are skipped."""
    return [found for path in _files(folder) if (found := _read(path)) is not None]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{PLACE}/*.json"))


def _read(path: Path) -> ExperimentJob | None:
    found = read_json(path)
    try:
        own, jobs = found["overrides"], found["jobs"]
        if isinstance(jobs, str):
            jobs = _jobs_of(path, jobs)
        else:  # of an earlier version
            _check_texts(text for job in jobs for text in job)
        sweep = ExperimentSweep(jobs, found["base"], found["asked"])
        _check_texts([*own, sweep.base, sweep.asked, found["experiment"]["name"]])
    except (KeyError, TypeError):
        log.warning("skipped, truncated or altered: %s", path)
        return None
    return ExperimentJob(found["experiment"], own, sweep)


def _jobs_of(path: Path, key: str) -> list[list[str]]:
    """The jobs of the sweep that a file of a run names.

    Raises:
        KeyError: if their file is missing or altered.
    """
    for parent in path.parents[1:4]:
        place = parent / PLACE / f"{key}.json"
        if place.is_file():
            return _sweep_jobs(place)
    raise KeyError(key)


@lru_cache(maxsize=256)
def _sweep_jobs(path: Path) -> list[list[str]]:
    jobs: list[list[str]] = read_json(path)["jobs"]
    _check_texts(text for job in jobs for text in job)
    return jobs


def _check_texts(texts: Any) -> None:
    if not all(isinstance(text, str) for text in texts):
        raise TypeError
