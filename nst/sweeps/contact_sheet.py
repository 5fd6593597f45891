"""One picture of several runs: a row per run; columns: steps, final, inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from PIL import Image, ImageDraw, ImageFont

from nst.config.differences import differing
from nst.runner.record import RunRecord
from nst.utils.errors import NstError

CELL = 180  # height of a picture, px
GAP = 10
HEADER = FOOTER = 30
STEPS = 5
"""Snapshots per row, spread evenly."""
FRAMES = 12
"""Frames of a filmstrip, at most: 300 would be 40,000 px wide."""
ROWS = 100
"""Runs in one picture or table, at most; the comparison page is better for more."""
PIXELS = 80_000_000
"""Pixels of one picture, at most: Pillow warns above 89 million and refuses twice as many."""
COMPARE = "nst-report compare sweep=last"

T = TypeVar("T")

_PAPER, _INK = "white", "#222222"


def side_by_side(runs: Sequence[RunRecord], command: str = COMPARE) -> tuple[Image.Image, str]:
    """Draws finished runs: the first ``ROWS``, or as many as ``PIXELS`` allow.

    Args:
        runs: one row each, labelled by the config keys in which those drawn differ.
        command: the command that shows all of them, for the line below.

    Returns:
        The picture, and a line that says which runs it shows; empty if it shows all.

    Raises:
        ValueError: if there are no runs.
        NstError: if the first run is too wide.
        OSError: if a picture cannot be read.
    """
    if not runs:
        raise ValueError("no runs to draw")
    drawn = runs[:ROWS]  # the configs of 10,000 runs take a minute to read
    labels = _labels(drawn)
    font = ImageFont.load_default(15)
    lines = [line for label in labels for line in label]
    margin = max(round(font.getlength(line)) for line in lines) + 2 * GAP
    rows, columns = _fitting(drawn, margin)
    if not rows:
        raise NstError(f"the first run alone needs more than {PIXELS:,} pixels")
    note = first_of(len(rows), len(runs), "runs", command)
    width, height = _size(margin, columns, len(rows))
    size = (max(width, round(font.getlength(note)) + 2 * GAP), height if note else height - FOOTER)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    lefts: dict[str, int] = {}
    x = margin
    for name, column in columns.items():
        draw.text((x + column / 2, HEADER / 2), name, _INK, font, anchor="mm")
        lefts[name] = x
        x += column + GAP
    for index, (label, row) in enumerate(zip(labels, rows, strict=False)):
        y = HEADER + (CELL + GAP) * index
        text = "\n".join(label)
        draw.multiline_text((GAP, y + CELL / 2), text, _INK, font, anchor="lm", spacing=6)
        for name, path in row.items():
            found = cell(path)
            sheet.paste(found, (lefts[name] + (columns[name] - found.width) // 2, y))
    draw.text((GAP, height - FOOTER / 2), note, _INK, font, anchor="lm")
    return sheet, note


def _labels(runs: Sequence[RunRecord]) -> list[list[str]]:
    """For each run, in lines, the config keys in which the runs differ, or else its name."""
    known = iter(differing([run.settings for run in runs if run.config]))
    found = [next(known) if run.config else {} for run in runs]
    return [
        [f"{key}={value}" for key, value in own.items()] or [run.folder.name]
        for run, own in zip(runs, found, strict=True)
    ]


def _fitting(
    runs: Sequence[RunRecord], margin: int
) -> tuple[list[dict[str, Path]], dict[str, int]]:
    """As many rows of pictures as ``PIXELS`` allow, and the widths of the columns, px, in order."""
    rows: list[dict[str, Path]] = []
    columns: dict[str, int] = {}
    for run in runs:
        row = _pictures(run)
        wider = columns | {
            name: max(_width(path), columns.get(name, 0)) for name, path in row.items()
        }
        if math.prod(_size(margin, wider, len(rows) + 1)) > PIXELS:
            break
        rows.append(row)
        columns = wider
    # steps in order, then final and the inputs
    names = sorted(
        columns, key=lambda name: (0, int(name.split()[1])) if name[:4] == "step" else (1, 0)
    )
    return rows, {name: columns[name] for name in names}


def first_of(shown: int, total: int, what: str, command: str) -> str:
    """``the first 100 of 1,000 runs; all of them: COMMAND``; empty if all are shown."""
    if shown == total:
        return ""
    return f"the first {shown:,} of {total:,} {what}; all of them: {command}"


def _size(margin: int, columns: dict[str, int], rows: int) -> tuple[int, int]:
    """(width, height) of the picture with a line below, px."""
    width = margin + sum(columns.values()) + GAP * len(columns)
    return width, HEADER + (CELL + GAP) * rows + FOOTER


def _pictures(run: RunRecord) -> dict[str, Path]:
    snapshots = run.snapshots
    steps = [*snapshots][:-1]  # the last is the final image
    pictures = {f"step {step}": snapshots[step] for step in _spread(steps, STEPS)}
    found = {name: run.picture(name) for name in ("final", "content", "style")}
    return pictures | {name: path for name, path in found.items() if path is not None}


def filmstrip(run: RunRecord) -> Image.Image | None:
    """A run's snapshots side by side; None if it has none.

    Returns:
        RGB, ``CELL`` px high; at most ``FRAMES`` snapshots, the first and the last among them.
    """
    paths = _spread([*run.snapshots.values()], FRAMES)
    if not paths:
        return None
    frames = [cell(path) for path in paths]
    strip = Image.new("RGB", (sum(f.width for f in frames) + GAP * (len(frames) - 1), CELL), _PAPER)
    x = 0
    for frame in frames:
        strip.paste(frame, (x, 0))
        x += frame.width + GAP
    return strip


def _spread(found: Sequence[T], count: int) -> list[T]:
    """At most ``count`` elements, evenly spaced, from the first to the last."""
    last = len(found) - 1
    return [
        found[i] for i in sorted({round(n * last / (count - 1)) for n in range(count)}) if found
    ]


def cell(path: Path) -> Image.Image:
    """A picture, ``CELL`` px high."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    return image.resize((_scaled(image.size), CELL), Image.Resampling.LANCZOS)


def _width(path: Path) -> int:
    """Width of the picture's cell, px, from the header of its file."""
    with Image.open(path) as file:
        return _scaled(file.size)


def _scaled(size: tuple[int, int]) -> int:
    width, height = size
    return max(1, round(width * CELL / height))
