"""Filmstrips: all snapshots of a run, small, in one picture that the page shows parts of."""

from __future__ import annotations

import hashlib
import io
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from nst.utils.files import write_whole

HEIGHT = 144
"""Largest height of a frame, px."""

WIDTH = 288
"""Largest width of a frame, px."""

LIMIT = 16_000
"""Largest side of a filmstrip, px; WebP's limit is 16,383."""

QUALITY = 75
FOLDER = "filmstrips"


@dataclass(frozen=True)
class Filmstrip:
    """Frames in rows, from the top left.

    Attributes:
        href: its file, relative to the page.
        columns: frames in a row.
        rows: number of rows.
        steps: of the frames, in order.
        files: the snapshots themselves, relative to the page.
        size: width and height of the last snapshot itself, px.
    """

    href: str
    columns: int
    rows: int
    steps: list[int]
    files: list[str]
    size: tuple[int, int]


def filmstrip(page: Path, name: str, snapshots: Sequence[tuple[int, Path]]) -> Filmstrip | None:
    """The filmstrip of a run, from an earlier call if its snapshots are the same.

    Args:
        page: folder of the page.
        name: of the run.
        snapshots: steps and files, in order; those that cannot be read are skipped.

    Returns:
        None if no snapshot can be read.
    """
    if not snapshots:
        return None
    try:
        with Image.open(snapshots[-1][1]) as file:
            size = file.size
        stamps = [(step, path.name, path.stat().st_mtime_ns) for step, path in snapshots]
    except OSError:  # cut short, or removed meanwhile
        return filmstrip(page, name, [each for each in snapshots[:-1] if each[1].exists()])
    digest = hashlib.sha256(repr((HEIGHT, WIDTH, QUALITY, stamps)).encode()).hexdigest()[:10]
    target = page / FOLDER / f"{name}-{digest}.webp"
    columns = math.ceil(math.sqrt(len(snapshots)))
    rows = math.ceil(len(snapshots) / columns)
    if not target.exists():
        shape = _frame_size(size, columns, rows)
        frames = [_frame(path, shape) for _, path in snapshots]
        readable = [each for each, frame in zip(snapshots, frames, strict=True) if frame]
        if len(readable) < len(snapshots):
            return filmstrip(page, name, readable)
        _write(target, [frame for frame in frames if frame], columns, rows)
    steps = [step for step, _ in snapshots]
    files = [href(page, path) for _, path in snapshots]
    return Filmstrip(href(page, target), columns, rows, steps, files, size)


def href(page: Path, path: Path) -> str:
    """A file relative to the folder of the page."""
    return Path(os.path.relpath(path, page)).as_posix()


def _frame_size(size: tuple[int, int], columns: int, rows: int) -> tuple[int, int]:
    """Width and height of the frames, from those of the last snapshot: a pyramid's first are
    smaller."""
    width, height = size
    scale = min(HEIGHT / height, WIDTH / width, 1.0)
    scale = min(scale, LIMIT / (columns * width), LIMIT / (rows * height))
    return max(1, int(width * scale)), max(1, int(height * scale))


def _frame(path: Path, size: tuple[int, int]) -> Image.Image | None:
    try:
        with Image.open(path) as file:
            return file.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    except OSError:
        return None


def outdated(page: Path, current: Iterable[str]) -> list[Path]:
    """The filmstrips that earlier calls made of the same runs.

    Args:
        page: folder of the page.
        current: file names of the runs' filmstrips.
    """
    known = {name.rpartition("-")[0]: name for name in current}
    files = (page / FOLDER).glob("*.webp")
    return [file for file in files if known.get(_run_of(file), file.name) != file.name]


def _run_of(file: Path) -> str:
    return file.stem.rpartition("-")[0]


def _write(target: Path, frames: Sequence[Image.Image], columns: int, rows: int) -> None:
    width, height = frames[0].size
    sheet = Image.new("RGB", (columns * width, rows * height))
    for index, frame in enumerate(frames):
        sheet.paste(frame, (index % columns * width, index // columns * height))
    data = io.BytesIO()
    sheet.save(data, format="WEBP", quality=QUALITY, method=2)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, data.getbuffer())
