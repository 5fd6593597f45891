"""The folder of a sweep: its jobs and their outcomes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from nst.config.experiment import ExperimentJob
from nst.config.job_overrides import meaning
from nst.runner import experiment_jobs
from nst.runner.folder import RunFolder
from nst.runner.outcome import FINISHED_BEFORE
from nst.runner.record import COMPLETED, DIVERGED, FACTS, FAILED, read_facts
from nst.utils.files import read_json, write_whole

SUCCEEDED = (COMPLETED, FINISHED_BEFORE)
UNSUCCESSFUL = (FAILED, DIVERGED)
JOBS = "jobs.json"
"""File with the time when the sweep began (``asked``), its base, and the jobs' overrides."""

OUTCOMES = "outcomes"
"""Folder with a file per job that has ended."""

PARTS = "parts"
"""Folder with a file per part that a worker computes, and the folders of Hydra's jobs for them."""

_OLD = "runs.jsonl"
"""One file of all jobs, in older versions."""


class JobOutcome(NamedTuple):
    """The outcome of a job, as the sweep's folder has it.

    Attributes:
        number: of the job.
        outcome: the status of its ``Outcome``.
        folder: its run folder; None if it could not begin.
        why: the reason why it failed or diverged, in one line; else empty.
        refused: whether its config was refused, before anything was computed.
    """

    number: int
    outcome: str
    folder: Path | None
    why: str = ""
    refused: bool = False


class Part(NamedTuple):
    """Jobs that one worker computes.

    Attributes:
        jobs: their numbers.
        apart: what separates them from other parts.
    """

    jobs: list[int]
    apart: str


def jobs(sweep_dir: Path) -> list[list[str]]:
    """The overrides of the jobs, by their number."""
    found: list[list[str]] = json.loads((sweep_dir / JOBS).read_text(encoding="utf-8"))["jobs"]
    return found


def add_part(sweep_dir: Path, part: Part) -> int:
    """Records a part before it is launched. Returns its number."""
    place = sweep_dir / PARTS
    place.mkdir(exist_ok=True)
    number = len(part_numbers(sweep_dir))
    write_whole(place / f"{number}.json", f"{json.dumps(part._asdict())}\n".encode())
    return number


def part_numbers(sweep_dir: Path) -> list[int]:
    """The numbers of the recorded parts, in order."""
    return sorted(int(path.stem) for path in (sweep_dir / PARTS).glob("*.json"))


def part(sweep_dir: Path, number: int) -> Part:
    """A part by its number."""
    text = (sweep_dir / PARTS / f"{number}.json").read_text(encoding="utf-8")
    return Part(**json.loads(text))


def record(sweep_dir: Path, ended: JobOutcome) -> None:
    """Records the outcome of a job, in its own file: jobs may run in other processes."""
    place = sweep_dir / OUTCOMES
    place.mkdir(parents=True, exist_ok=True)
    fields = {**ended._asdict(), "folder": str(ended.folder.resolve()) if ended.folder else None}
    text = json.dumps(fields, indent=1)
    write_whole(place / f"{ended.number}.json", f"{text}\n".encode())


def clear(sweep_dir: Path) -> None:
    """Removes the parts and outcomes of an earlier sweep in the same folder."""
    shutil.rmtree(sweep_dir / PARTS, ignore_errors=True)
    for path in [*sweep_dir.glob(f"{OUTCOMES}/*.json"), sweep_dir / _OLD]:
        path.unlink(missing_ok=True)


def record_refusal(
    sweep_dir: Path,
    number: int,
    reason: str,
    overrides: list[str],
    experiment_job: ExperimentJob | None,
) -> None:
    """Records a refused job in the sweep's folder, as a run folder with the reason.

    Such a job has no signature, and so no folder among the runs.
    """
    folder = RunFolder(sweep_dir / str(number))
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.update(status=FAILED, reason=reason, overrides=_key(overrides))
    if experiment_job is not None:
        experiment_jobs.join(folder.path, sweep_dir, experiment_job)


def failed_before(outputs: Path, overrides: list[str]) -> bool:
    """Whether a job with these overrides was refused in any earlier sweep."""
    refusals = (read_facts(path.parent) for path in outputs.glob(f"sweeps/*/*/{FACTS}"))
    return any(facts.get("overrides") == _key(overrides) for facts in refusals)


def _key(overrides: list[str]) -> list[str]:
    """The overrides that its picture depends on, sorted."""
    return sorted(f"{key}={value}" for key, value in meaning(overrides).items())


def outcomes(sweep_dir: Path) -> list[JobOutcome]:
    """The recorded outcomes, in the order of the jobs."""
    found = [*_old_outcomes(sweep_dir)]
    for path in sweep_dir.glob(f"{OUTCOMES}/*.json"):
        with suppress(OSError, ValueError, TypeError):  # an altered file
            fields = json.loads(path.read_text(encoding="utf-8"))
            folder = fields.pop("folder")
            found.append(JobOutcome(**fields, folder=Path(folder) if folder else None))
    return sorted(found, key=lambda each: each.number)


def _old_outcomes(sweep_dir: Path) -> Iterator[JobOutcome]:
    try:
        lines = (sweep_dir / _OLD).read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        with suppress(ValueError):  # the last one may be half written
            number, outcome, folder, why = json.loads(line)
            refused = (sweep_dir / str(number)).exists()
            yield JobOutcome(number, outcome, Path(folder) if folder else None, why, refused)


def began(sweep_dir: Path) -> str:
    """When a sweep began, in ISO 8601; empty if its folder does not have it."""
    asked = read_json(sweep_dir / JOBS).get("asked")
    return asked if isinstance(asked, str) else ""
