"""Logs a finished run again, from its folder."""

from __future__ import annotations

from nst.runner.record import RunRecord
from nst.runner.writer import RunWriter


def replay(writer: RunWriter) -> None:
    """Logs a finished run again, step by step.

    Args:
        writer: of the run, with the loggers to use.
    """
    record = RunRecord(writer.folder.path)
    for logger in writer.loggers:
        logger.log_hyperparams(writer.config)
    for name, path in record.inputs.items():
        writer.log_picture(name, path, 0)
    snapshots = record.snapshots
    for row in record.rows:
        writer.log(row)
        if (step := int(row["step"])) in snapshots:
            writer.log_picture("snapshot", snapshots[step], step)
    last = int(writer.rows[-1]["step"])
    for name in ("final", "tiled"):
        if found := record.picture(name):
            writer.log_picture(name, found, last)
    for logger in writer.loggers:
        logger.log_metrics(
            {f"measure/{key}": each for key, each in record.measures.items()}, step=last
        )
        logger.finalize("success")
