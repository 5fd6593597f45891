"""Values of the objective at snapshots, and the runs that their judges prune."""

from __future__ import annotations

from PIL import Image

from nst.config import objective
from nst.metrics.quality import Metrics
from nst.runner.writer import RunWriter
from nst.utils import agent


class Pruning:
    """Measures the snapshots of runs that have a judge, or that a W&B sweep may stop early.

    Args:
        metrics: of pictures.

    Attributes:
        reasons: why runs are pruned, by their index in the batch.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.reasons: dict[int, str] = {}

    def snapshot(self, run: int, writer: RunWriter, picture: Image.Image) -> None:
        """Logs the objective of a snapshot and asks the judge; the first image says nothing.

        Args:
            run: index in the batch.
            writer: of the run, with the row of the snapshot's step as its last one.
            picture: the snapshot.
        """
        names, row, judge = writer.run.config.objective, writer.rows[-1], writer.run.judge
        step = int(row["step"])
        if step == 0 or not names or (judge is None and agent.run_id() is None):
            return
        measures: dict[str, float] = {}
        if not all(map(objective.is_loss, names)):
            config = writer.run.config
            measures = self.metrics.measure(
                picture, writer.content, writer.styles, config.learned_metrics, config.wraps
            )
            writer.log_measures({name: measures[name] for name in names if name in measures}, step)
        if judge is not None and run not in self.reasons:
            reason = judge(step, objective.intermediate(names, row, measures))
            if reason is not None:
                self.reasons[run] = reason
