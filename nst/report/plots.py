"""Interactive plots of an experiment, as HTML that needs nothing but Plotly beside the page."""

from __future__ import annotations

import html

import plotly.graph_objects as go

from nst.config.experiment import MEASURES, PlotConfig
from nst.report.collect import Experiment, order
from nst.report.table import axes, label

# Okabe & Ito 2008: told apart by colour-blind readers, on white and on black.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f")
DASHES = ("solid", "dash", "dot", "dashdot")
HEIGHT = 380  # px


def curves(experiment: Experiment) -> str:
    """Loss over steps or seconds, a line per run; colours tell the columns, dashes the rows."""
    rows, columns = axes(experiment)
    figure = go.Figure()
    shown, drawn = set(), set()
    colours = _numbered(experiment, columns or rows)
    dashes = _numbered(experiment, rows) if columns else {}
    for job in experiment.jobs:
        result = job.completed
        if result is None or not result.rows or result.folder in drawn:
            continue
        drawn.add(result.folder)
        group = _values(experiment, job.values, columns or rows)
        name = _values(experiment, job.values, experiment.varying)
        steps = [row["step"] for row in result.rows]
        figure.add_scatter(
            x=steps,
            y=[row["loss/total"] for row in result.rows],
            customdata=[row["seconds"] for row in result.rows],
            name=group or "all runs",
            legendgroup=group,
            showlegend=group not in shown,
            line={
                "color": COLOURS[colours.get(group, 0) % len(COLOURS)],
                "dash": DASHES[dashes.get(_values(experiment, job.values, rows), 0) % len(DASHES)],
                "width": 1.6,
            },
            hovertemplate=f"{name or 'run'}<br>step %{{x}}: %{{y:.4g}}<extra></extra>",
        )
        shown.add(group)
    seconds = [list(trace.customdata) for trace in figure.data]
    steps_of = [list(trace.x) for trace in figure.data]
    if not figure.data:
        return ""
    _style(figure, "step", "loss")
    figure.update_yaxes(type="log")
    figure.update_layout(
        updatemenus=[
            {
                "type": "buttons",
                "direction": "right",
                "x": 1,
                "xanchor": "right",
                "y": 1.16,
                "buttons": [
                    _button("by step", steps_of, "step"),
                    _button("by seconds", seconds, "seconds"),
                ],
            }
        ]
    )
    return _html(figure)


def trade_off(experiment: Experiment, plot: PlotConfig) -> str:
    """One measure over another; the runs that differ in the plot's key alone are joined."""
    figure = go.Figure()
    lines: dict[str, list[tuple[float, float, str]]] = {}
    others = [key for key in experiment.varying if key != plot.key]
    for value in order(experiment.jobs, plot.key):
        for job in experiment.jobs:
            if job.completed and job.values.get(plot.key) == value:
                x, y = (job.completed.measure(axis) for axis in (plot.x, plot.y))
                if x is not None and y is not None:
                    text = html.escape(label(experiment, plot.key, value))
                    line = _values(experiment, job.values, others)
                    lines.setdefault(line, []).append((x, y, text))
    for number, (name, points) in enumerate(lines.items()):
        xs, ys, texts = zip(*points, strict=True)
        figure.add_scatter(
            x=xs,
            y=ys,
            text=texts,
            mode="lines+markers+text" if number == 0 else "lines+markers",
            textposition="middle right",
            cliponaxis=False,
            name=name or "runs",
            line={"color": COLOURS[number % len(COLOURS)], "width": 1.2},
            hovertemplate="%{text}<br>%{x:.3g}, %{y:.3g}<extra></extra>",
        )
    if not lines:
        return ""
    _style(figure, MEASURES[plot.x].title, MEASURES[plot.y].title)
    figure.update_yaxes(type="log")
    return _html(figure)


def _numbered(experiment: Experiment, keys: list[str]) -> dict[str, int]:
    groups = (_values(experiment, job.values, keys) for job in experiment.jobs)
    return {group: number for number, group in enumerate(dict.fromkeys(groups))}


def _values(experiment: Experiment, values: dict[str, str], keys: list[str]) -> str:
    """Captions of some of a job's values, safe in Plotly's subset of HTML."""
    shown = [label(experiment, key, values[key]) for key in keys if key in values]
    marked = [
        f"{key} {text}" if text.isdigit() else text
        for key, text in zip([key for key in keys if key in values], shown, strict=True)
    ]
    return html.escape(" · ".join(marked))


def _button(name: str, xs: list[list[float]], title: str) -> dict[str, object]:
    return {
        "label": name,
        "method": "update",
        "args": [{"x": xs}, {"xaxis.title.text": title}],
    }


def _style(figure: go.Figure, x: str, y: str) -> None:
    figure.update_layout(
        height=HEIGHT,
        margin={"l": 64, "r": 16, "t": 48, "b": 48},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        xaxis_title=x,
        yaxis_title=y,
        legend={"orientation": "h", "y": -0.2},
        font={"family": "system-ui, sans-serif"},
    )


def _html(figure: go.Figure) -> str:
    config = {"displaylogo": False, "responsive": True, "displayModeBar": False}
    return figure.to_html(full_html=False, include_plotlyjs=False, config=config)
