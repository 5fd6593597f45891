"""The best trials of a study as a table and as a picture, along the trade-off."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nst.config.objective import higher_is_better
from nst.runner.record import RunRecord
from nst.sweeps.contact_sheet import CELL, GAP, cell
from nst.sweeps.search.record import StudyRecord, TrialRecord

PICTURES = 12
"""Trials of the front in the picture, at most."""

COLUMNS = 6
LINE = 18  # height of a line of text, px
_PAPER, _INK = "white", "#222222"


def table(study: StudyRecord) -> str:
    """The front, or with one objective the best trials, as text: a row per trial."""
    keys = list(dict.fromkeys(key for trial in study.trials for key in trial.settings))
    found = Table("trial", *study.objective, *keys, "run folder", box=None, pad_edge=False)
    for trial in best(study):
        values = [f"{value:.4g}" for value in trial.values]
        own = [Text(trial.settings.get(key, "")) for key in keys]
        found.add_row(str(trial.number), *values, *own, trial.run or "")
    console = Console(width=10_000, highlight=False)
    with console.capture() as capture:
        console.print(found)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def best(study: StudyRecord) -> list[TrialRecord]:
    """The front; with one objective, the ``PICTURES`` best runs, the best first."""
    if len(study.objective) > 1:
        return study.front
    sign = -1 if higher_is_better(study.objective[0]) else 1
    found: dict[str | None, TrialRecord] = {}
    for trial in sorted(study.completed, key=lambda each: sign * each.values[0]):
        found.setdefault(trial.run, trial)
    return list(found.values())[:PICTURES]


def picture(outputs: Path, study: StudyRecord) -> Image.Image | None:
    """The content, the style and the results of the best trials, with what they reached.

    Args:
        outputs: root folder.
        study: any.

    Returns:
        At most ``PICTURES`` results; None if the study has none, or if their folders are gone.
    """
    found = [
        (trial, record)
        for trial in along(best(study), PICTURES)
        if trial.run and (record := RunRecord(outputs / "runs" / trial.run)).picture("final")
    ]
    if not found:
        return None
    first = found[0][1]
    inputs = {name: path for name in ("content", "style") if (path := first.picture(name))}
    cells = [(cell(path), [name]) for name, path in inputs.items()]
    for trial, record in found:
        path = record.picture("final")
        assert path is not None
        values = zip(study.objective, trial.values, strict=True)
        lines = [f"{name.replace('_', ' ')} {value:.3g}" for name, value in values]
        lines += [f"{key}={value}" for key, value in trial.settings.items()]
        cells.append((cell(path), lines))
    return _sheet(cells)


def along(front: Sequence[TrialRecord], count: int) -> list[TrialRecord]:
    """At most ``count`` trials, the ends among them, spread evenly over the length of the front."""
    if len(front) <= count:
        return list(front)
    columns = list(zip(*(trial.values for trial in front), strict=True))
    spans = [max(column) - min(column) or 1.0 for column in columns]
    steps = [
        math.hypot(*((b - a) / span for a, b, span in zip(x.values, y.values, spans, strict=True)))
        for x, y in itertools.pairwise(front)
    ]
    place = [0.0, *itertools.accumulate(steps)]
    chosen = {0, len(place) - 1}
    while len(chosen) < count:  # always the one that is farthest from those that are chosen
        others = set(range(len(place))) - chosen
        chosen.add(max(others, key=lambda i: min(abs(place[i] - place[j]) for j in chosen)))
    return [front[index] for index in sorted(chosen)]


def _sheet(cells: Sequence[tuple[Image.Image, list[str]]]) -> Image.Image:
    font = ImageFont.load_default(13)
    texts = max(len(lines) for _, lines in cells)
    longest = max(font.getlength(line) for _, lines in cells for line in lines)
    width = max(*(image.width for image, _ in cells), math.ceil(longest)) + GAP
    height = CELL + LINE * texts + 2 * GAP
    rows = -(-len(cells) // COLUMNS)
    size = (GAP + width * min(len(cells), COLUMNS), GAP + height * rows)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, (image, lines) in enumerate(cells):
        row, column = divmod(index, COLUMNS)
        x, y = GAP + width * column, GAP + height * row
        sheet.paste(image, (x, y))
        draw.multiline_text((x, y + CELL + GAP // 2), "\n".join(lines), _INK, font, spacing=4)
    return sheet
