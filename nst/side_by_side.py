"""One picture of several runs: a row per run; columns: steps, final, inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from nst.settings import read_config, settings

CELL = 180  # height of a picture, px
GAP = 10
HEADER = 30
STEPS = 5
"""Snapshots per row, spread evenly."""
FRAMES = 12
"""Of a filmstrip, at most: 300 of them would be 40 000 px wide."""

_PAPER, _INK = "white", "#222222"


def side_by_side(folders: Sequence[Path]) -> Image.Image:
    """Draws finished runs from their folders alone.

    Args:
        folders: run folders, one row each, labelled by the config keys in which they differ.

    Raises:
        ValueError: if there are no folders.
    """
    if not folders:
        raise ValueError("no runs to set side by side")
    rows = [_pictures(folder) for folder in folders]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    # numbers in order first, then final and the inputs
    columns.sort(key=lambda name: (0, int(name.split()[1])) if name[:4] == "step" else (1, 0))
    labels = [
        [f"{key}={value}" for key, value in found.items()] or [folder.name]
        for folder, found in zip(folders, settings([*map(read_config, folders)]), strict=True)
    ]
    font = ImageFont.load_default(15)
    margin = max(round(font.getlength(line)) for label in labels for line in label) + 2 * GAP
    cells = [[_cell(row.get(name)) for name in columns] for row in rows]
    widths = [max(cell.width for cell in column if cell) for column in zip(*cells, strict=True)]
    size = (margin + sum(widths) + GAP * len(widths), HEADER + (CELL + GAP) * len(rows))
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    x = margin
    for name, width in zip(columns, widths, strict=True):
        draw.text((x + width / 2, HEADER / 2), name, _INK, font, anchor="mm")
        x += width + GAP
    y = HEADER
    for label, row in zip(labels, cells, strict=True):
        text = "\n".join(label)
        draw.multiline_text((GAP, y + CELL / 2), text, _INK, font, anchor="lm", spacing=6)
        x = margin
        for cell, width in zip(row, widths, strict=True):
            if cell:
                sheet.paste(cell, (x + (width - cell.width) // 2, y))
            x += width + GAP
        y += CELL + GAP
    return sheet


def _pictures(folder: Path) -> dict[str, Path]:
    snapshots = sorted((folder / "snapshots").glob("*.png"))[:-1]  # the last is the final image
    pictures = {f"step {int(path.stem)}": path for path in _spread(snapshots, STEPS)}
    pictures["final"] = folder / "final.png"
    for name in ("content", "style"):
        path = folder / "inputs" / f"{name}.png"
        if path.exists():
            pictures[name] = path
    return pictures


def filmstrip(folder: Path) -> Image.Image | None:
    """A run's snapshots in order, next to each other; None if it has none.

    Returns:
        RGB, ``CELL`` px high; at most ``FRAMES`` snapshots, the first and the last among them.
    """
    paths = _spread(sorted((folder / "snapshots").glob("*.png")), FRAMES)
    frames = [frame for frame in map(_cell, paths) if frame]
    if not frames:
        return None
    strip = Image.new("RGB", (sum(f.width for f in frames) + GAP * (len(frames) - 1), CELL), _PAPER)
    x = 0
    for frame in frames:
        strip.paste(frame, (x, 0))
        x += frame.width + GAP
    return strip


def _spread(paths: Sequence[Path], count: int) -> list[Path]:
    """At most ``count`` of them, evenly, from the first to the last."""
    last = len(paths) - 1
    return [
        paths[i] for i in sorted({round(n * last / (count - 1)) for n in range(count)}) if paths
    ]


def _cell(path: Path | None) -> Image.Image | None:
    if path is None:
        return None
    with Image.open(path) as file:
        image = file.convert("RGB")
    width = max(1, round(image.width * CELL / image.height))
    return image.resize((width, CELL), Image.Resampling.LANCZOS)
