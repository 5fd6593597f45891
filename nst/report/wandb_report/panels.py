"""Panels of W&B for the runs of an experiment; what they show comes from the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import wandb_workspaces.reports.v2 as wr

from nst.config.experiment import MEASURES
from nst.report.collect import Experiment
from nst.report.plots import COLOURS
from nst.report.wandb_report.runs import Tracked, pictures, snapshots

LOSS = "loss/total"
MARKS = ("solid", "dashed", "dotted", "dotdash")
WIDTH = 24
"""Of a report's panel grid, in W&B's units."""


@dataclass(frozen=True)
class Part:
    """Panels that belong together.

    Attributes:
        name: heading of the section in a workspace.
        panels: in order.
        columns: how many lie side by side.
        height: of each, in the units of a report's grid.
    """

    name: str
    panels: list[Any]
    columns: int = 1
    height: int = 8


def colour(run: Tracked) -> str:
    """A run's colour, that of its column."""
    return COLOURS[run.colour % len(COLOURS)]


def metric(measure: str) -> str | None:
    """The key that a measure was logged by; None for those that only compare runs."""
    if measure.endswith("_to_loss"):
        return None
    return {"loss": LOSS, "seconds": "seconds"}.get(measure, f"measure/{measure}")


def media(experiment: Experiment, found: Sequence[Tracked]) -> Part:
    """The pictures: steps across and runs down; by one slider; results; what went in."""
    grid = wr.MediaBrowser(
        title="steps across, runs down",
        media_keys=["snapshot"],
        mode="grid",
        grid_x_axis="step",
        grid_y_axis="run",
        num_columns=max(snapshots(found), 1),
    )
    # a gallery over runs has one slider for all; the library has no switch that couples panels
    shown = [("one step of every run", "snapshot"), ("results", "final")]
    galleries = [
        wr.MediaBrowser(title=title, media_keys=[key], mode="gallery", gallery_axis="run")
        for title, key in shown
    ]
    inputs = pictures(found, experiment.config.inputs)
    if inputs:
        galleries.append(wr.MediaBrowser(title="what went in", media_keys=inputs))
    return Part("pictures", [grid, *galleries], height=12)


def curves(found: Sequence[Tracked]) -> Part:
    """The loss of every run over steps and over seconds, colours by column and dashes by row."""
    style: dict[str, Any] = {
        "y": [LOSS],
        "log_y": True,
        "title_y": "loss",
        "max_runs_to_show": len(found),
        "line_titles": {f"{run.id}:{LOSS}": run.caption for run in found},
        "line_marks": {f"{run.id}:{LOSS}": MARKS[run.dash % len(MARKS)] for run in found},
    }
    steps = wr.LinePlot(title="loss over steps", x="Step", **style)
    seconds = wr.LinePlot(title="loss over seconds", x="seconds", title_x="seconds", **style)
    return Part("loss", [steps, seconds], columns=2)


def means(found: Sequence[Tracked], keys: Sequence[str] = ()) -> Part:
    """Mean loss of groups, with least and largest.

    Args:
        found: all runs.
        keys: of the config, a plot by each; none: the groups are those of the runset.
    """
    style: dict[str, Any] = {
        "y": [LOSS],
        "log_y": True,
        "title_y": "loss",
        "groupby_aggfunc": "mean",
        "groupby_rangefunc": "minmax",
        "max_runs_to_show": len(found),
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


def bars(found: Sequence[Tracked], group: str = "") -> Part:
    """Every measure that the runs have.

    Args:
        found: all runs.
        group: key of the config whose values make the bars; none: the groups of the runset do.
    """
    panels = [
        wr.BarPlot(
            title=f"{measure.title} ({measure.better} is better)",
            metrics=[key],
            groupby=wr.Config(group) if group else None,
            groupby_aggfunc="mean" if group else None,
            groupby_rangefunc="minmax" if group else None,
            max_runs_to_show=len(found),
            max_bars_to_show=len(found),
        )
        for name, measure in MEASURES.items()
        if (key := metric(name)) and any(run.result.measure(name) is not None for run in found)
    ]
    return Part("measures", panels, columns=3, height=6)


def trade_offs(experiment: Experiment) -> Part:
    """One measure over another, as the experiment's file declares."""
    panels = [
        wr.ScatterPlot(
            title=f"{MEASURES[plot.y].title} over {MEASURES[plot.x].title}",
            x=wr.SummaryMetric(x),
            y=wr.SummaryMetric(y),
            log_y=True,
        )
        for plot in experiment.config.plots
        if (x := metric(plot.x)) and (y := metric(plot.y))
    ]
    return Part("trade-offs", panels, columns=2)


def differences() -> Part:
    """The keys of config and summary that differ between the runs."""
    return Part("what differs", [wr.RunComparer(diff_only="split")], height=10)


def sized(parts: Sequence[Part]) -> list[Any]:
    """Their panels in order, for a report's grid; the library finds places by their sizes."""
    for part in parts:
        for panel in part.panels:
            panel.layout = wr.Layout(w=WIDTH // part.columns, h=part.height)
    return [panel for part in parts for panel in part.panels]
