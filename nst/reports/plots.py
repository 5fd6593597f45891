"""Interactive plots of an experiment, as HTML that needs only Plotly's script beside the page."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from nst.config.experiment import MEASURES, PlotConfig
from nst.reports.claims import interval
from nst.reports.collect import REPLICATES, Experiment
from nst.runner.record import RunRecord

# Okabe & Ito 2008: distinct for colour-blind readers, on white and on black
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f")
DASHES = ("solid", "dash", "dot", "dashdot")
HEIGHT = 380  # px
MOST_LINES = 100
"""Runs whose losses a plot can show."""


@dataclass(frozen=True)
class Line:
    """A completed run as a line of a plot.

    Attributes:
        run: its record.
        caption: distinguishes the run.
        group: caption of its column in the table, or of its row if there are no columns.
        colour: number of that column or row.
        dash: number of its row; 0 if there are no columns.
    """

    run: RunRecord
    caption: str
    group: str
    colour: int
    dash: int


def lines(experiment: Experiment) -> list[Line]:
    """The completed runs of an experiment, each once, in the order of the sweep."""
    rows, columns = experiment.axes
    by_colour, by_dash = columns or rows, rows if columns else []
    colours, dashes = (list(experiment.groups(keys)) for keys in (by_colour, by_dash))
    found: dict[str, Line] = {}
    for job in experiment.jobs:
        if job.completed and job.completed.folder.name not in found:
            name = job.completed.folder.name
            found[name] = Line(
                job.completed,
                experiment.caption(job, experiment.varying) or name,
                experiment.caption(job, by_colour),
                colours.index(job.at(by_colour)),
                dashes.index(job.at(by_dash)),
            )
    return list(found.values())


def curves(experiment: Experiment) -> str:
    """Loss over steps or seconds, a line per run; empty if no run has losses, or too many do."""
    figure = go.Figure()
    drawn = [line for line in lines(experiment) if line.run.rows]
    if len(drawn) > MOST_LINES:
        return ""
    for number, line in enumerate(drawn):
        group = html.escape(line.group)
        figure.add_scatter(
            x=[row["step"] for row in line.run.rows],
            y=[row["loss/total"] for row in line.run.rows],
            name=group or "all runs",
            legendgroup=group,
            showlegend=all(line.group != other.group for other in drawn[:number]),
            line={
                "color": COLOURS[line.colour % len(COLOURS)],
                "dash": DASHES[line.dash % len(DASHES)],
                "width": 1.6,
            },
            hovertemplate=f"{html.escape(line.caption)}<br>step %{{x}}: %{{y:.4g}}<extra></extra>",
        )
    buttons = []
    for label, column in (("by step", "step"), ("by seconds", "seconds")):
        xs = [[row[column] for row in line.run.rows] for line in drawn]
        change = [{"x": xs}, {"xaxis.title.text": column}]
        buttons.append({"label": label, "method": "update", "args": change})
    menu = {"type": "buttons", "direction": "right", "x": 1, "xanchor": "right", "y": 1.16}
    return _html(figure, "step", "loss", updatemenus=[{**menu, "buttons": buttons}])


def trade_off(experiment: Experiment, plot: PlotConfig) -> str:
    """One metric over another, runs that differ in the plot's key alone joined by a line."""
    if plot.by:
        figure = mean_trade_off(experiment, plot)
        return _html(figure, MEASURES[plot.x].title, MEASURES[plot.y].title)
    figure = go.Figure()
    others = [key for key in experiment.varying if key != plot.key]
    for jobs in experiment.groups(others).values():
        points = [
            (x, y, html.escape(experiment.label(plot.key, job.values[plot.key])))
            for job in jobs
            if job.completed and plot.key in job.values
            if (x := job.completed.measure(plot.x)) is not None
            if (y := job.completed.measure(plot.y)) is not None
        ]
        if points:
            xs, ys, texts = zip(*points, strict=True)
            number = len(figure.data)
            figure.add_scatter(
                x=xs,
                y=ys,
                text=texts,
                mode="lines+markers" if number else "lines+markers+text",
                textposition="middle right",
                cliponaxis=False,
                name=html.escape(experiment.caption(jobs[0], others)) or "runs",
                line={"color": COLOURS[number % len(COLOURS)], "width": 1.2},
                hovertemplate="%{text}<br>%{x:.3g}, %{y:.3g}<extra></extra>",
            )
    return _html(figure, MEASURES[plot.x].title, MEASURES[plot.y].title)


def mean_trade_off(experiment: Experiment, plot: PlotConfig) -> go.Figure:
    """Means of both metrics along the plot's key, a line for each value of ``by``.

    The bars are 95 % confidence intervals of the means within blocks (Cousineau 2005, with the
    correction of Morey 2008): what differs between pictures alone is taken away. Runs that differ
    in the seed alone are averaged first, unless nothing else varies.
    """
    figure = go.Figure()
    points = experiment.order(plot.key)
    keys = [key for key in experiment.varying if key not in (plot.key, plot.by)]
    keys = [key for key in keys if key not in REPLICATES] or keys
    blocks: list[dict[tuple[str, str], list[float]]] = []
    for jobs in experiment.groups(keys).values():
        repeats: dict[tuple[str, str], list[list[float]]] = {}
        for job in jobs:
            if job.completed and {plot.by, plot.key} <= job.values.keys():
                x, y = (job.completed.measure(name) for name in (plot.x, plot.y))
                if x is not None and y is not None:
                    place = job.values[plot.by], job.values[plot.key]
                    repeats.setdefault(place, []).append([x, y])
        found = {place: np.mean(own, axis=0).tolist() for place, own in repeats.items()}
        if len(found) == len(experiment.order(plot.by)) * len(points):
            blocks.append(found)
    if not blocks:
        return figure
    places = list(blocks[0])
    values = np.array([[block[place] for place in places] for block in blocks])
    within = values - values.mean(axis=1, keepdims=True) + values.mean(axis=(0, 1))
    correction = (len(places) / (len(places) - 1)) ** 0.5 if len(places) > 1 else 1.0
    for number, by in enumerate(experiment.order(plot.by)):
        at = [places.index((by, point)) for point in points]
        bars = [
            [correction * interval(within[:, place, axis])[1] for place in at] for axis in (0, 1)
        ]
        x, y = values[:, at].mean(axis=0).T
        figure.add_scatter(
            x=x.tolist(),
            y=y.tolist(),
            error_x={"array": bars[0], "thickness": 1, "width": 2},
            error_y={"array": bars[1], "thickness": 1, "width": 2},
            text=[html.escape(experiment.label(plot.key, point)) for point in points],
            mode="lines+markers",
            name=html.escape(experiment.label(plot.by, by)),
            line={"color": COLOURS[number % len(COLOURS)], "width": 1.6},
            hovertemplate="%{text}<br>%{x:.3g}, %{y:.3g}",
        )
    return figure


def _html(figure: go.Figure, x: str, y: str, **layout: Any) -> str:
    """The figure as HTML, with a logarithmic y axis; empty if nothing is drawn."""
    if not figure.data:
        return ""
    figure.update_yaxes(type="log")
    figure.update_layout(
        height=HEIGHT,
        margin={"l": 64, "r": 16, "t": 48, "b": 48},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        xaxis_title=x,
        yaxis_title=y,
        legend={"orientation": "h", "y": -0.2},
        font={"family": "system-ui, sans-serif"},
        **layout,
    )
    config = {"displaylogo": False, "responsive": True, "displayModeBar": False}
    return figure.to_html(full_html=False, include_plotlyjs=False, config=config)
