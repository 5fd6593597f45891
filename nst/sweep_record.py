"""What a sweep's folder says of its jobs: how each of them ended."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from nst.experiment import Member
from nst.folder import COMPLETED, DIVERGED, FACTS, FAILED, RunFolder, read_facts
from nst.outcome import SKIPPED

DONE = (COMPLETED, SKIPPED)
NOT_DONE = (FAILED, DIVERGED)
RUNS = "runs.jsonl"


class Ended(NamedTuple):
    """How a job of a sweep ended.

    Attributes:
        number: of the job.
        outcome: the status of its ``Outcome``.
        folder: its run folder; None if it could not begin.
        why: it failed or diverged, in one line; else empty.
    """

    number: int
    outcome: str
    folder: Path | None
    why: str = ""


def record(sweep_dir: Path, ended: Ended) -> None:
    """Notes how a job ended; jobs may run in other processes, so the record is a file."""
    folder = str(ended.folder.resolve()) if ended.folder else None
    line = json.dumps([ended.number, ended.outcome, folder, ended.why])
    with (sweep_dir / RUNS).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def record_refusal(
    sweep_dir: Path, number: int, reason: str, overrides: list[str], member: Member | None
) -> None:
    """Leaves a run folder in the sweep's for a job that could not begin: why, and of what.

    It has no signature, so that it has no folder of its own among the runs.
    """
    folder = RunFolder(sweep_dir / str(number))
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.update(status=FAILED, reason=reason, overrides=_asked(overrides))
    if member is not None:
        folder.join(member)


def failed_before(outputs: Path, overrides: list[str]) -> bool:
    """Whether a job with these overrides could not begin in any sweep before."""
    refusals = (read_facts(path.parent) for path in outputs.glob(f"sweeps/*/*/{FACTS}"))
    return any(facts.get("overrides") == _asked(overrides) for facts in refusals)


def _asked(overrides: list[str]) -> list[str]:
    """What makes a job, in any order: not how it was asked for."""
    return sorted(text for text in overrides if text.split("=")[0] not in ("retry", "force"))


def outcomes(sweep_dir: Path) -> list[Ended]:
    """What was recorded, in the order of the sweep."""
    try:
        lines = (sweep_dir / RUNS).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        with suppress(ValueError):  # the last one may be half written, by a process that was killed
            number, outcome, folder, why = json.loads(line)
            found.append(Ended(number, outcome, Path(folder) if folder else None, why))
    return sorted(found, key=lambda each: each.number)
