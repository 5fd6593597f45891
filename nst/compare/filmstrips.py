"""A run's snapshots, small, in one picture: what a page needs to show any of them at once."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from nst.utils.files import write_whole

HEIGHT = 144  # of a frame, px
WIDEST = 288  # of a frame, px
LARGEST = 16_000  # of a side of the whole, px: WebP's limit is 16,383
QUALITY = 75


@dataclass(frozen=True)
class Film:
    """Frames in rows, from the top left.

    Attributes:
        href: its file, relative to the page.
        columns: frames in a row.
        rows: how many there are.
        steps: of the frames, in order.
        size: width and height of the last snapshot itself, px.
    """

    href: str
    columns: int
    rows: int
    steps: list[int]
    size: tuple[int, int]


def film(page: Path, name: str, snapshots: Sequence[tuple[int, Path]]) -> Film | None:
    """Makes the film of a run, or finds the one that was made before.

    Args:
        page: folder of the page.
        name: of the run.
        snapshots: their steps and files.

    Returns:
        None if no snapshot can be read.
    """
    images: list[Image.Image] = []
    try:
        with Image.open(snapshots[-1][1]) as file:
            size = file.size
    except (OSError, IndexError):  # none yet, or taken away meanwhile
        return film(page, name, snapshots[:-1]) if snapshots else None
    stamps = [(step, path.name, path.stat().st_mtime_ns) for step, path in snapshots]
    digest = hashlib.sha256(repr((HEIGHT, WIDEST, QUALITY, stamps)).encode()).hexdigest()[:10]
    target = page / "films" / f"{name}-{digest}.webp"
    columns, rows = _grid(len(snapshots))
    made = Film(f"films/{target.name}", columns, rows, [step for step, _ in snapshots], size)
    if target.exists():
        return made
    # the last one tells the size of the frames: a pyramid's first snapshots are smaller
    frame = _frame(size)
    for each in snapshots:
        try:
            with Image.open(each[1]) as file:
                images.append(file.convert("RGB").resize(frame, Image.Resampling.LANCZOS))
        except OSError:
            return film(page, name, [other for other in snapshots if other != each])
    scale = min(1.0, LARGEST / (columns * frame[0]), LARGEST / (rows * frame[1]))
    width, height = (max(1, int(side * scale)) for side in frame)
    sheet = Image.new("RGB", (columns * width, rows * height))
    for index, image in enumerate(images):
        place = (index % columns * width, index // columns * height)
        sheet.paste(image if scale == 1 else image.resize((width, height)), place)
    data = io.BytesIO()
    sheet.save(data, format="WEBP", quality=QUALITY, method=2)
    target.parent.mkdir(parents=True, exist_ok=True)
    for old in target.parent.glob(f"{name}-*.webp"):
        if old.stem.rpartition("-")[0] == name:
            old.unlink(missing_ok=True)
    write_whole(target, data.getbuffer())
    return made


def _frame(size: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    scale = min(HEIGHT / height, WIDEST / width, 1.0)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _grid(count: int) -> tuple[int, int]:
    columns = max(1, math.ceil(math.sqrt(count)))
    return columns, max(1, math.ceil(count / columns))
