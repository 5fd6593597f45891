"""The table of a study for trackers: a row per trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from PIL import Image

from nst.runner.record import RunRecord
from nst.sweeps.contact_sheet import ROWS
from nst.sweeps.search.folder import FOLDER
from nst.sweeps.search.record import StudyRecord, TrialRecord, read
from nst.sweeps.summary_table import Row, Summary, aligned, decoded


def with_study(found: Summary, outputs: Path, name: str) -> Summary:
    """The table of a sweep with the trials and the front of its study.

    Args:
        found: the table.
        outputs: root folder.
        name: of the study.
    """
    study, front = read(outputs, name), outputs / FOLDER / f"{name}.png"
    return replace(found, trials=rows(outputs, study), front=front if front.is_file() else None)


def rows(outputs: Path, study: StudyRecord) -> list[Row]:
    """A row per trial: its status, its values, its settings, its picture and its run.

    Pictures are of ``ROWS`` trials at most, those of the front among them.

    Args:
        outputs: root folder.
        study: any.
    """
    shown = {trial.number for trial in _first([*study.front, *study.trials])}
    return aligned(
        [
            {
                "trial": trial.number,
                "status": trial.status,
                "reason": trial.reason,
                **dict(zip(study.objective, trial.values, strict=False)),  # none if it failed
                **{key: _number(value) for key, value in trial.settings.items()},
                "final": _picture(outputs, trial) if trial.number in shown else None,
                "run": trial.run,
            }
            for trial in study.trials
        ]
    )


def _first(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    return list({trial.number: trial for trial in trials}.values())[:ROWS]


def _picture(outputs: Path, trial: TrialRecord) -> partial[Image.Image] | None:
    if trial.run is None:
        return None
    record = RunRecord(outputs / "runs" / trial.run)
    path = record.picture("final") or record.picture("best")
    return partial(decoded, path) if path else None


def _number(text: str) -> float | str:
    """A number if it is one, which trackers draw on an axis."""
    try:
        return float(text)
    except ValueError:
        return text
