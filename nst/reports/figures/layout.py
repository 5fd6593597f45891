"""Places the table of an experiment on paper: lines of pictures with text above and below.

The same for every format. Lengths are in points of 1/72 inch.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from nst.config.experiment import MEASURES
from nst.reports.claims import spread
from nst.reports.collect import SEPARATOR, Experiment
from nst.reports.table import Cell, Gallery, Row, Shot, Table, lay_out
from nst.utils.errors import ConfigError

INCH = 72.0
CM = INCH / 2.54
COLUMN = 8.3 * CM
PAGE = 17.4 * CM
"""Widths of one and of two columns of a page, as many journals have them, within some mm."""

MOST_HEIGHT = 23 * CM
"""What fits on a page of A4 or letter, with a caption."""

LEAST = 1 * CM
"""A picture must not be smaller."""

COMFORTABLE = 1.6 * CM
"""A single row of pictures is broken into lines before they are smaller."""

GAP = 3.0
TEXT = 7.0
"""Size of the letters; journals require 6 to 8 at least."""

WIDE_LETTER = 0.52
"""Mean width of the letters over their size, in a wide font."""

LEADING = 1.2
"""Distance of two lines of text over their size."""


@dataclass(frozen=True)
class Entry:
    """A picture with its text.

    Attributes:
        heading: above it.
        shot: the picture; None: there is none.
        numbers: below it: the metric's title, and its mean with a confidence interval.
        note: in place of the picture, why there is none; empty: nothing is meant to be here.
        result: whether it is a cell of the table, not an input.
    """

    heading: str = ""
    shot: Shot | None = None
    numbers: tuple[tuple[str, str], ...] = ()
    note: str = ""
    result: bool = False


@dataclass(frozen=True)
class Line:
    """Pictures side by side, with the caption of their row to the left of them, in its parts."""

    entries: tuple[Entry, ...]
    caption: tuple[str, ...] = ()

    @property
    def headed(self) -> bool:
        """Whether any picture has a heading."""
        return any(entry.heading for entry in self.entries)

    @property
    def metrics(self) -> int:
        """How many metrics stand below the pictures."""
        return max((len(entry.numbers) for entry in self.entries), default=0)

    @cached_property
    def aspect(self) -> float:
        """Height over width of the box of a picture: of the results, if there are any.

        A line without any picture has none.
        """
        shots = [(entry.shot, entry.result) for entry in self.entries if entry.shot]
        results = [shot for shot, result in shots if result] or [shot for shot, _ in shots]
        return max((shot.height / shot.width for shot in results), default=0.0)


@dataclass(frozen=True)
class Layout:
    """The figure.

    Attributes:
        lines: in order.
        columns: pictures in a line, at most.
        width: of the figure.
        cell: width of the box of a picture.
        gutter: width of the captions of the rows, with the gap to the pictures.
        runs: for the caption, the least and the largest number of runs that a number is a mean of.
        metrics: titles of the metrics below the pictures.
    """

    lines: tuple[Line, ...]
    columns: int
    width: float
    cell: float
    gutter: float
    runs: tuple[int, int]
    metrics: tuple[str, ...]

    @property
    def entries(self) -> Iterator[Entry]:
        """All of them, line by line."""
        return (entry for line in self.lines for entry in line.entries)


def arrange(experiment: Experiment, metrics: Sequence[str], width: float) -> Layout:
    """The layout of an experiment's table.

    A table of a single row is broken into lines; larger ones keep their rows and columns, with what
    all runs share in a line above them.

    Args:
        experiment: with the jobs to show.
        metrics: keys of ``MEASURES``, to stand below each picture.
        width: of the figure.

    Raises:
        ConfigError: if the pictures would be smaller than ``LEAST``.
    """
    config = experiment.config
    table = lay_out(
        replace(experiment, config=replace(config, show=config.show or ["final"])), Gallery(None)
    )
    lines, columns = _lines(table, metrics, bool(config.show), width)
    gutter = _gutter(lines, width / columns)
    cell = min((width - gutter + GAP) / columns - GAP, width / 2)
    cell = min(cell, _cell_by_height(lines))
    if cell < LEAST and any(line.aspect for line in lines):
        raise ConfigError("--width", f"{width / CM:.1f}cm", _too_small(lines, columns, gutter))
    counts = [
        len(values)
        for row in table.rows
        for each in row.cells
        for metric in metrics
        if (values := each.values(metric))
    ]
    return Layout(
        lines=tuple(lines),
        columns=columns,
        width=width,
        cell=cell,
        gutter=gutter,
        runs=(min(counts, default=0), max(counts, default=0)),
        metrics=tuple(title(metric) for metric in metrics if counts),
    )


def _lines(
    table: Table, metrics: Sequence[str], pictures: bool, width: float
) -> tuple[list[Line], int]:
    """The lines, and the number of columns."""

    def result(cell: Cell, heading: str) -> Entry:
        shot = cell.shots[0] if cell.shots and pictures else None
        numbers = [
            (title(metric), number(values, MEASURES[metric].unit))
            for metric in metrics
            if (values := cell.values(metric))
        ]
        note = "" if shot or not pictures else _note(cell)
        return Entry(heading, shot, tuple(numbers), note, result=True)

    def of_row(row: Row, headed: bool) -> tuple[Entry, ...]:
        inputs = zip(table.row_inputs, row.inputs, strict=True)
        cells = zip(table.columns, row.cells, strict=True)
        return (
            *(Entry(caption if headed else "", shot) for caption, shot in inputs),
            *(result(cell, column.caption if headed else "") for column, cell in cells),
        )

    shared = tuple(Entry(shot.caption, shot) for shot in table.inputs if pictures)
    above = max((len(column.inputs) for column in table.columns), default=0)
    if len(table.rows) == 1 and not above:
        row = table.rows[0]
        flow = (*shared, *of_row(row, headed=True))
        count = math.ceil(len(flow) / max(1, int((width + GAP) // (COMFORTABLE + GAP))))
        columns = math.ceil(len(flow) / count)
        return [Line(each, _parts(row.caption)) for each in _chunks(flow, columns)], columns
    columns = len(table.row_inputs) + len(table.columns)
    columns = max(columns, min(len(shared), int((width + GAP) // (COMFORTABLE + GAP))))
    lines = [Line(each) for each in _chunks(shared, columns)]
    blank = (Entry(),) * len(table.row_inputs)
    for index in range(above):  # inputs that belong to columns
        shots = [dict(enumerate(column.inputs)).get(index) for column in table.columns]
        captions = [column.caption if index == 0 else "" for column in table.columns]
        lines.append(Line((*blank, *map(Entry, captions, shots))))
    for index, row in enumerate(table.rows):
        lines.append(Line(of_row(row, headed=index == 0 and not above), _parts(row.caption)))
    return lines, columns


def _chunks(entries: Sequence[Entry], size: int) -> Iterator[tuple[Entry, ...]]:
    return (tuple(entries[at : at + size]) for at in range(0, len(entries), size))


def _parts(caption: str) -> tuple[str, ...]:
    """The caption of a row in its parts, one for each key."""
    return tuple(caption.split(SEPARATOR)) if caption else ()


def _note(cell: Cell) -> str:
    """Why a cell has no picture, in a word; empty if the sweep has no such job."""
    if not cell.jobs:
        return ""
    run = cell.jobs[0].run
    return "missing" if run is None else "no picture" if run.completed else run.status


def title(metric: str) -> str:
    """What a metric is called below a picture; a loss as on the page."""
    return metric if metric == "loss" else MEASURES[metric].title


def number(values: Sequence[float], unit: str = "") -> str:
    """Mean and confidence interval as on the page, with the unit: ``26.6 ± 0.3 dB``."""
    return " ".join(filter(None, [spread(values), unit]))


def _gutter(lines: Sequence[Line], cell: float) -> float:
    """The width of the rows' captions, which are upright and as long as a picture is high."""
    rows = 0
    for line in lines:
        letters = int(cell * (line.aspect or 1) / (TEXT * WIDE_LETTER))
        rows = max(rows, sum(len(textwrap.wrap(part, max(letters, 1))) for part in line.caption))
    return rows * TEXT * LEADING + GAP if rows else 0.0


def _cell_by_height(lines: Sequence[Line]) -> float:
    """The width of the pictures at which the figure is as high as a page."""
    text = sum(2 * line.headed + 2 * line.metrics for line in lines) * TEXT * LEADING
    aspects = sum(line.aspect for line in lines)
    return (MOST_HEIGHT - text - GAP * len(lines)) / aspects if aspects else math.inf


def _too_small(lines: Sequence[Line], columns: int, gutter: float) -> str:
    """Why the pictures would be too small, and what to do."""
    problem = f"pictures would be smaller than {LEAST / CM:.0f} cm"
    if _cell_by_height(lines) < LEAST:
        return f"{problem}, since a page is too short for {len(lines)} rows; --only chooses some"
    needed = math.ceil(10 * (columns * (LEAST + GAP) - GAP + gutter) / CM) / 10
    fits = f"--width {needed:.1f}cm" if needed * CM > PAGE else "--columns 2"
    return f"{problem}, since there are {columns} columns; {fits} suffices, or --only chooses some"
