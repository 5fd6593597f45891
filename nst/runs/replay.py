"""Logs a finished run again, from its folder."""

from __future__ import annotations

from nst.runs.record import RunRecord
from nst.runs.writer import Recorder


def replay(recorder: Recorder) -> None:
    """Logs a finished run as if it ran now, step by step.

    Args:
        recorder: of the run, with the loggers that get it.
    """
    record = RunRecord(recorder.folder.path)
    for logger in recorder.loggers:
        logger.log_hyperparams(recorder.config)
    for name, path in record.inputs.items():
        recorder.log_picture(name, path, 0)
    snapshots = record.snapshots
    for row in record.rows:
        recorder.log(row)
        if (step := int(row["step"])) in snapshots:
            recorder.log_picture("snapshot", snapshots[step], step)
    last = int(recorder.rows[-1]["step"])
    recorder.log_picture("final", record.picture("final"), last)
    for logger in recorder.loggers:
        logger.log_metrics(
            {f"measure/{key}": each for key, each in record.measures.items()}, step=last
        )
        logger.finalize("success")
