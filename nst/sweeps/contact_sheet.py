"""One picture of several runs: a row per run; columns: steps, final, inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from PIL import Image, ImageDraw, ImageFont

from nst.config.differences import settings
from nst.runs.record import RunRecord, read_config
from nst.utils.errors import NstError

CELL = 180  # height of a picture, px
GAP = 10
HEADER = FOOTER = 30
STEPS = 5
"""Snapshots per row, spread evenly."""
FRAMES = 12
"""Of a filmstrip, at most: 300 of them would be 40 000 px wide."""
ROWS = 100
"""Runs in one picture or table, at most; more are easier to look at on the comparison page."""
PIXELS = 80_000_000
"""Of one picture, at most: Pillow warns of more than 89 million, and refuses twice as many."""
COMPARE = "nst-report compare sweep=last"

T = TypeVar("T")

_PAPER, _INK = "white", "#222222"


def side_by_side(folders: Sequence[Path], command: str = COMPARE) -> tuple[Image.Image, str]:
    """Draws finished runs from their folders alone: the first ``ROWS``, or as many as ``PIXELS``.

    Args:
        folders: run folders, one row each, labelled by the config keys in which they differ.
        command: shows all of them.

    Returns:
        The picture, and a line that says which runs are in it, if those are not all.

    Raises:
        ValueError: if there are no folders, or a config cannot be read.
        NstError: if the first run alone is too wide.
        OSError: if a picture cannot be read.
    """
    if not folders:
        raise ValueError("no runs to set side by side")
    labels = [
        [f"{key}={value}" for key, value in found.items()] or [folder.name]
        for folder, found in zip(folders, settings([*map(read_config, folders)]), strict=True)
    ]
    font = ImageFont.load_default(15)
    lines = [line for label in labels[:ROWS] for line in label]
    margin = max(round(font.getlength(line)) for line in lines) + 2 * GAP
    rows: list[dict[str, Path]] = []
    columns: dict[str, int] = {}  # their widths, px
    for folder in folders[:ROWS]:
        row = _pictures(folder)
        wider = columns | {
            name: max(_width(path), columns.get(name, 0)) for name, path in row.items()
        }
        if math.prod(_size(margin, wider, len(rows) + 1)) > PIXELS:
            break
        rows.append(row)
        columns = wider
    if not rows:
        raise NstError(f"the first run alone would take more than {PIXELS:,} pixels")
    note = first_of(len(rows), len(folders), "runs", command)
    width, height = _size(margin, columns, len(rows))
    size = (max(width, round(font.getlength(note)) + 2 * GAP), height if note else height - FOOTER)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    # numbers in order first, then final and the inputs
    names = sorted(
        columns, key=lambda name: (0, int(name.split()[1])) if name[:4] == "step" else (1, 0)
    )
    lefts: dict[str, int] = {}
    x = margin
    for name in names:
        draw.text((x + columns[name] / 2, HEADER / 2), name, _INK, font, anchor="mm")
        lefts[name] = x
        x += columns[name] + GAP
    for index, row in enumerate(rows):
        y = HEADER + (CELL + GAP) * index
        text = "\n".join(labels[index])
        draw.multiline_text((GAP, y + CELL / 2), text, _INK, font, anchor="lm", spacing=6)
        for name, path in row.items():
            cell = _cell(path)
            sheet.paste(cell, (lefts[name] + (columns[name] - cell.width) // 2, y))
    draw.text((GAP, height - FOOTER / 2), note, _INK, font, anchor="lm")
    return sheet, note


def first_of(shown: int, total: int, what: str, command: str) -> str:
    """``the first 100 of 1,000 runs; all of them: COMMAND``; empty if all are shown."""
    if shown == total:
        return ""
    return f"the first {shown:,} of {total:,} {what}; all of them: {command}"


def _size(margin: int, columns: dict[str, int], rows: int) -> tuple[int, int]:
    """(width, height) of the picture with a line below, px."""
    width = margin + sum(columns.values()) + GAP * len(columns)
    return width, HEADER + (CELL + GAP) * rows + FOOTER


def _pictures(folder: Path) -> dict[str, Path]:
    record = RunRecord(folder)
    steps = [*record.snapshots][:-1]  # the last is the final image
    pictures = {f"step {step}": record.snapshots[step] for step in _spread(steps, STEPS)}
    found = {name: record.picture(name) for name in ("final", "content", "style")}
    return pictures | {name: path for name, path in found.items() if path is not None}


def filmstrip(folder: Path) -> Image.Image | None:
    """A run's snapshots in order, next to each other; None if it has none.

    Returns:
        RGB, ``CELL`` px high; at most ``FRAMES`` snapshots, the first and the last among them.
    """
    paths = _spread([*RunRecord(folder).snapshots.values()], FRAMES)
    if not paths:
        return None
    frames = [_cell(path) for path in paths]
    strip = Image.new("RGB", (sum(f.width for f in frames) + GAP * (len(frames) - 1), CELL), _PAPER)
    x = 0
    for frame in frames:
        strip.paste(frame, (x, 0))
        x += frame.width + GAP
    return strip


def _spread(found: Sequence[T], count: int) -> list[T]:
    """At most ``count`` of them, evenly, from the first to the last."""
    last = len(found) - 1
    return [
        found[i] for i in sorted({round(n * last / (count - 1)) for n in range(count)}) if found
    ]


def _cell(path: Path) -> Image.Image:
    with Image.open(path) as file:
        image = file.convert("RGB")
    return image.resize((_scaled(image.size), CELL), Image.Resampling.LANCZOS)


def _width(path: Path) -> int:
    """Of its cell, px; reads no more than the size."""
    with Image.open(path) as file:
        return _scaled(file.size)


def _scaled(size: tuple[int, int]) -> int:
    width, height = size
    return max(1, round(width * CELL / height))
