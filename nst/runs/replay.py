"""Tells trackers of a run that was finished before, from its folder."""

from __future__ import annotations

import csv
from pathlib import Path

from nst.runs.folder import read_facts
from nst.runs.writer import Recorder


def retell(recorder: Recorder) -> None:
    """Tells a finished run to its loggers as if it ran now, step by step.

    Args:
        recorder: of the run, with the loggers to tell.
    """
    folder = recorder.folder.path
    for logger in recorder.loggers:
        logger.log_hyperparams(recorder.config)
    for path in sorted((folder / "inputs").glob("*.png")):
        recorder.log_picture(path.stem, path, 0)
    for row in _rows(folder):
        recorder.log(row)
        snapshot = recorder.folder.snapshot_path(int(row["step"]))
        if snapshot.is_file():
            recorder.log_picture("snapshot", snapshot, int(row["step"]))
    last = int(recorder.rows[-1]["step"])
    recorder.log_picture("final", folder / "final.png", last)
    measures = read_facts(folder).get("measures", {})
    for logger in recorder.loggers:
        logger.log_metrics({f"measure/{key}": each for key, each in measures.items()}, step=last)
        logger.finalize("success")


def _rows(folder: Path) -> list[dict[str, float]]:
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{key: float(each) for key, each in row.items() if each} for row in rows]
