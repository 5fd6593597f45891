"""What a sweep leaves behind: the list of its runs and one picture that sets them side by side."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

RUNS = "runs.txt"
PICTURE = "side_by_side.png"
_sweep_dir: Path | None = None


class SweepCallback(Callback):
    """Remembers where the sweep of this process keeps its record.

    Hydra's ``on_multirun_end`` is skipped once a job fails, so the end is not handled here but in
    ``summarise``, which ``main`` calls whatever happens.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called before the first job."""
        global _sweep_dir
        _sweep_dir = Path(config.hydra.sweep.dir)


def started() -> bool:
    """Whether this process began a sweep."""
    return _sweep_dir is not None


def record(sweep_dir: Path, number: int, folder: Path) -> None:
    """Adds a finished job; jobs may run in other processes, so the record is a file."""
    with (sweep_dir / RUNS).open("a", encoding="utf-8") as file:
        file.write(f"{number}\t{folder.resolve()}\n")


def finished(sweep_dir: Path) -> list[Path]:
    """Folders of the finished jobs, in the order of the sweep."""
    try:
        lines = (sweep_dir / RUNS).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    jobs = sorted((int(line.split("\t")[0]), line.split("\t", 1)[1]) for line in lines)
    return list(dict.fromkeys(Path(folder) for _, folder in jobs))


def summarise() -> None:
    """Ends a sweep: draws its finished runs side by side and prints where everything is."""
    if _sweep_dir is None:
        return
    folders = finished(_sweep_dir)
    if not folders:
        return
    from nst import images  # seconds to import: not before the sweep has begun
    from nst.side_by_side import side_by_side

    picture = _sweep_dir / PICTURE
    try:
        images.save_png(side_by_side(folders), picture)
    except (OSError, ValueError) as error:
        print(f"nst: no side-by-side picture: {error}", file=sys.stderr)
    else:
        print(f"side by side: {picture}")
    for folder in folders:
        print(os.path.relpath(folder))
