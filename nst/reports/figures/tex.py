"""A layout and its numbers as LaTeX: a figure environment, and a table of numbers."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import jinja2

from nst.config.experiment import MEASURES, ExperimentConfig
from nst.reports.claims import CONFIDENCE, spread
from nst.reports.figures import latex
from nst.reports.figures.layout import GAP, PAGE, Entry, Layout, Line
from nst.reports.figures.numbers import Number, NumberRow, NumberTable
from nst.utils.text import folder_part

ARROWS = {"higher": r"$\uparrow$", "lower": r"$\downarrow$"}
MARK = r"$^\dagger$"
HEAD = 13
"""Letters in a line of a column's head."""

LETTER = 4.0
"""Mean width of a letter of a table's text, in points."""


@dataclass(frozen=True)
class Document:
    """The LaTeX, and the pictures that it names.

    Attributes:
        text: of the file ``NAME.tex``.
        pictures: files of run folders, by name in the folder ``NAME``.
    """

    text: str
    pictures: dict[str, Path]


def render(
    config: ExperimentConfig, layout: Layout, tables: Sequence[NumberTable], command: str
) -> Document:
    """The LaTeX of an experiment.

    Args:
        config: names the files, and makes the captions.
        layout: of the pictures.
        tables: of numbers.
        command: that makes the file.

    Raises:
        ConfigError: without pylatexenc.
    """
    latex.check()
    names = _names(layout)
    wide = layout.width >= PAGE - 1
    variables = {
        "command": command,
        "name": config.name,
        "star": "*" if wide else "",
        "gap": _part(GAP, layout),
        "half_gap": _part(GAP / 2, layout),
        "gutter": layout.gutter,
        "layout": layout,
        "lines": [_line(line, layout, config.name, names) for line in layout.lines],
        "title": config.title,
        "about": _about(config, layout),
        "tables": [_table(table) for table in tables],
        "table_star": "*" if wide or any(_width(each) > layout.width for each in tables) else "",
        "remarks": _remarks(tables),
        "unusual": "",
    }
    template = _environment().get_template("figure.tex.jinja")
    variables["unusual"] = latex.unusual(template.render(variables))
    pictures = {file: Path(href) for href, file in names.items()}
    return Document(template.render(variables), pictures)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(  # LaTeX has braces of its own
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        loader=jinja2.PackageLoader("nst.reports"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"tex": latex.text, "sentence": lambda text: latex.text(_ended(text))}
    return environment


def _ended(text: str) -> str:
    """The text as a sentence."""
    return text if text.rstrip().endswith((".", "!", "?", "…")) else f"{text.rstrip()}."


def _names(layout: Layout) -> dict[str, str]:
    """Names of the pictures' copies, after their row and column, by file."""
    names: dict[str, str] = {}
    heads: dict[int, str] = {}
    for line in layout.lines:
        for index, entry in enumerate(line.entries):
            heads[index] = entry.heading or heads.get(index, "")
            if entry.shot and entry.shot.href not in names:
                parts = [folder_part(part) for part in (*line.caption, heads[index])]
                stem = "-".join(filter(None, parts)) or "picture"
                tries = (f"{stem}{'' if number == 1 else f'_{number}'}.png" for number in count(1))
                names[entry.shot.href] = next(name for name in tries if name not in names.values())
    return names


def _part(length: float, layout: Layout) -> str:
    """A length as a part of the width of the column."""
    return f"{length / layout.width:.4f}"


def _line(
    line: Line, layout: Layout, folder: str, names: Mapping[str, str]
) -> dict[str, str | list[str] | list[list[str]]]:
    """The rows of the tabular that a line makes."""
    cell = rf"{_part(layout.cell, layout)}\linewidth"
    height = line.aspect * layout.cell
    numbers = []
    for index in range(line.metrics):
        pairs = [entry.numbers[index : index + 1] for entry in line.entries]
        numbers.append([_text(f"{_number(*pair[0])}", cell, "t") if pair else "" for pair in pairs])
    high = rf"{_part((height or layout.cell) + 2 * GAP, layout)}\linewidth"
    upright = _upright(line.caption, high, layout) if line.caption else ""
    headings = [_text(latex.text(entry.heading), cell, "b") for entry in line.entries]
    return {
        "rows": [headings] if line.headed else [],
        "caption": upright,
        "pictures": [_picture(entry, height, layout, folder, names) for entry in line.entries],
        "numbers": numbers,
    }


def _upright(caption: Sequence[str], high: str, layout: Layout) -> str:
    """The caption of a row, read from below."""
    lines = r"\\".join(rf"\hspace{{0pt}}{latex.text(part)}" for part in caption)
    boxed = rf"\parbox{{{high}}}{{\centering {lines}}}"
    wide = rf"{_part(layout.gutter - GAP, layout)}\linewidth"
    return rf"\makebox[{wide}][r]{{\raisebox{{-.5\height}}{{\rotatebox{{90}}{{{boxed}}}}}}}"


def _text(content: str, width: str, at: str) -> str:
    # TeX hyphenates no word at the beginning of a paragraph
    boxed = rf"\parbox[{at}]{{{width}}}{{\centering\strut\hspace{{0pt}}{content}\strut}}"
    return boxed if content else ""


def _number(title: str, value: str) -> str:
    return f"{latex.text(title)} {latex.number(value)}"


def _picture(
    entry: Entry, height: float, layout: Layout, folder: str, names: Mapping[str, str]
) -> str:
    if entry.shot is None:
        return latex.text(entry.note)
    size = (
        rf"width={_part(layout.cell, layout)}\linewidth,"
        rf"height={_part(height, layout)}\linewidth,keepaspectratio"
    )
    file = f"{folder}/{names[entry.shot.href]}"
    return rf"\raisebox{{-.5\height}}{{\includegraphics[{size}]{{{file}}}}}"


def _about(config: ExperimentConfig, layout: Layout) -> list[str]:
    """Sentences of the figure's caption."""
    sentences = [latex.text(_ended(config.about))] if config.about else []
    least, most = layout.runs
    if layout.metrics:
        titles = latex.text(", ".join(layout.metrics))
        runs = f"{most}" if least == most else f"{least} to {most}"
        mean = rf"mean and {_confidence()} over {runs} runs" if most > 1 else "of one run"
        sentences.append(rf"Below each picture: {titles}, {mean}.")
        if most > 1:
            sentences.append("The picture is that of the first of them.")
    return sentences + [latex.text(_ended(note)) for note in config.notes]


def _confidence() -> str:
    return rf"{100 * CONFIDENCE:.0f}\,\% confidence interval"


def _table(table: NumberTable) -> dict[str, object]:
    """A table of numbers as the template shows it."""
    columns = zip(*(row.numbers for _, rows in table.parts for row in rows), strict=True)
    marked = [all(number.optimised for number in column if number) for column in columns]

    def cells(row: NumberRow) -> list[str]:
        return [_cell(number, head) for number, head in zip(row.numbers, marked, strict=True)]

    return {
        "about": table.about,
        "heads": [_head(*each) for each in zip(table.metrics, marked, strict=True)],
        "parts": [
            {
                "caption": case,
                "rows": [{"caption": row.caption, "cells": cells(row)} for row in rows],
            }
            for case, rows in table.parts
        ],
    }


def _title(metric: str) -> list[str]:
    """The title of a metric in lines."""
    measure = MEASURES[metric]
    unit = f" ({measure.unit})" if measure.unit else ""
    return textwrap.wrap(measure.title + unit, HEAD)


def _head(metric: str, marked: bool) -> str:
    """The title of a metric, marked if all runs minimise it themselves."""
    lines = [latex.text(line) for line in _title(metric)]
    lines[-1] += f"{MARK if marked else ''} {ARROWS[MEASURES[metric].better]}"
    stacked = r"\\".join(lines)
    return rf"\shortstack{{{stacked}}}" if len(lines) > 1 else stacked


def _cell(number: Number | None, marked: bool) -> str:
    """A number, marked if its runs minimise the metric themselves and the title is not marked."""
    if number is None:
        return "--"
    shown = latex.number(spread(number.values))
    if number.best:
        shown = rf"\textbf{{\boldmath {shown}}}"
    return shown + MARK if number.optimised and not marked else shown


def _width(table: NumberTable) -> float:
    """The width of a table of numbers, roughly, in points."""
    captions = [row.caption for _, rows in table.parts for row in rows]
    letters = max(map(len, [*captions, table.about]))
    for index, metric in enumerate(table.metrics):
        numbers = [row.numbers[index] for _, rows in table.parts for row in rows]
        texts = [spread(number.values) for number in numbers if number]
        letters += 3 + max(map(len, [*texts, *_title(metric)]))
    return letters * LETTER


def _remarks(tables: Sequence[NumberTable]) -> list[str]:
    """Sentences of the caption of the tables: what the numbers and signs are."""
    numbers = [number for table in tables for number in table.numbers]
    sentences = [
        f"Means and half widths of their {_confidence()}s (Student's $t$) over blocks: runs that "
        "differ only in what is compared."
    ]
    if all(len(number.values) < 2 for number in numbers):
        sentences = ["Of a single block of runs, which has no confidence interval."]
    sentences.append(r"$\uparrow$/$\downarrow$: higher/lower is better.")
    if any(number.best for number in numbers):
        sentences.append("Bold: the best, and what is not told apart from it.")
    if any(number.optimised for number in numbers):
        sentences.append(rf"{MARK}: the runs minimise this metric themselves, or nearly so.")
    return sentences
