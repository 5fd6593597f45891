"""W&B panels for the runs of an experiment; the server fills them with data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import wandb_workspaces.reports.v2 as wr

from nst.config.experiment import MEASURES
from nst.config.objective import is_loss
from nst.reports.collect import Experiment
from nst.reports.plots import COLOURS
from nst.reports.wandb_report.runs import LoggedRun

LOSS = "loss/total"
MARKS = ("solid", "dashed", "dotted", "dotdash")
WIDTH = 24
"""Width of a report's panel grid, in W&B's units."""


@dataclass(frozen=True)
class Part:
    """Panels that belong together.

    Attributes:
        name: heading of the section in a workspace.
        panels: in order.
        columns: number of panels side by side.
        height: of each panel, in the units of a report's grid.
    """

    name: str
    panels: list[Any]
    columns: int = 1
    height: int = 8


def colour(logged: LoggedRun) -> str:
    """The colour of a run's column."""
    return COLOURS[logged.colour % len(COLOURS)]


def logged_key(metric: str) -> str | None:
    """The key under which a metric or loss is logged; None for metrics that only compare runs."""
    if metric.endswith("_to_loss"):
        return None
    if is_loss(metric):
        return metric
    return {"loss": LOSS, "seconds": "seconds"}.get(metric, f"measure/{metric}")


def media(inputs: Sequence[str], runs: Sequence[LoggedRun]) -> Part:
    """Snapshots as a grid of steps and runs, and under one slider; results; inputs.

    Args:
        inputs: names of input pictures to show, if a run has them.
        runs: all runs.
    """
    grid = wr.MediaBrowser(
        title="steps across, runs down",
        media_keys=["snapshot"],
        mode="grid",
        grid_x_axis="step",
        grid_y_axis="run",
        num_columns=max([1, *(len(logged.run.snapshots) for logged in runs)]),
    )
    # a gallery over runs has one slider for all of them; the library cannot couple panels
    shown = [("one step of every run", "snapshot"), ("results", "final")]
    galleries = [
        wr.MediaBrowser(title=title, media_keys=[key], mode="gallery", gallery_axis="run")
        for title, key in shown
    ]
    found = [name for name in inputs if any(logged.run.picture(name) for logged in runs)]
    if found:
        galleries.append(wr.MediaBrowser(title="inputs", media_keys=found))
    return Part("pictures", [grid, *galleries], height=12)


def curves(runs: Sequence[LoggedRun]) -> Part:
    """Loss of every run over steps and over seconds, colours by column and dashes by row."""
    style: dict[str, Any] = {
        "y": [LOSS],
        "log_y": True,
        "title_y": "loss",
        "max_runs_to_show": len(runs),
        "line_titles": {f"{line.id}:{LOSS}": line.caption for line in runs},
        "line_marks": {f"{line.id}:{LOSS}": MARKS[line.dash % len(MARKS)] for line in runs},
    }
    steps = wr.LinePlot(title="loss over steps", x="Step", **style)
    seconds = wr.LinePlot(title="loss over seconds", x="seconds", title_x="seconds", **style)
    return Part("loss", [steps, seconds], columns=2)


def means(runs: Sequence[LoggedRun], keys: Sequence[str] = ()) -> Part:
    """Mean loss of groups of runs, with minimum and maximum.

    Args:
        runs: all runs.
        keys: of the config, to group by, with plots for each; none: the groups of the run set.
    """
    style: dict[str, Any] = {
        "y": [LOSS],
        "log_y": True,
        "title_y": "loss",
        "groupby_aggfunc": "mean",
        "groupby_rangefunc": "minmax",
        "max_runs_to_show": len(runs),
    }
    panels = [
        wr.LinePlot(
            title=" ".join(["mean loss over", x.lower(), *([f"by {key}"] if key else [])]),
            x=x,
            groupby=wr.Config(key) if key else None,
            **style,
        )
        for key in (keys or [""])
        for x in ("Step", "seconds")
    ]
    return Part("mean loss", panels, columns=2)


def bars(runs: Sequence[LoggedRun], group: str = "") -> Part:
    """Bars for every metric that the runs have.

    Args:
        runs: all runs.
        group: key of the config with a bar for each value; none: the groups of the run set.
    """
    panels = [
        wr.BarPlot(
            title=f"{metric.title} ({metric.better} is better)",
            metrics=[key],
            groupby=wr.Config(group) if group else None,
            groupby_aggfunc="mean" if group else None,
            groupby_rangefunc="minmax" if group else None,
            max_runs_to_show=len(runs),
            max_bars_to_show=len(runs),
        )
        for name, metric in MEASURES.items()
        if (key := logged_key(name)) and any(each.run.measure(name) is not None for each in runs)
    ]
    return Part("metrics", panels, columns=3, height=6)


def trade_offs(experiment: Experiment) -> Part:
    """One metric over another, as the experiment's file declares."""
    panels = [scatter(plot.x, plot.y, log_y=True) for plot in experiment.config.plots]
    return Part("trade-offs", [panel for panel in panels if panel], columns=2)


def scatter(x: str, y: str, log_y: bool = False) -> Any:
    """One metric or loss over another; None if one of them is not logged."""
    across, down = logged_key(x), logged_key(y)
    if across is None or down is None:
        return None
    return wr.ScatterPlot(
        title=f"{title(y)} over {title(x)}",
        x=wr.SummaryMetric(across),
        y=wr.SummaryMetric(down),
        log_y=log_y,
    )


def title(metric: str) -> str:
    """Title of a metric; a loss has its name."""
    return MEASURES[metric].title if metric in MEASURES else metric


def differences() -> Part:
    """Keys of config and summary that differ between the runs."""
    return Part("differences", [wr.RunComparer(diff_only="split")], height=10)


def sized(parts: Sequence[Part]) -> list[Any]:
    """Panels of the parts in order, with sizes by which the library places them in a report."""
    for part in parts:
        for panel in part.panels:
            panel.layout = wr.Layout(w=WIDTH // part.columns, h=part.height)
    return [panel for part in parts for panel in part.panels]
