"""The table of an experiment: rows, columns, pictures on its edges, and cells."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from PIL import Image

from nst.config.experiment import ExperimentConfig
from nst.report.collect import Experiment, Job, order
from nst.utils.files import write_whole

REPLICATES = ("seed",)
"""Keys that repeat a cell, unless the file makes rows or columns of them."""

SHOWN = {"start": "start", "final": "result", "paste": "naive paste"}


def called(name: str, config: ExperimentConfig) -> str:
    """What a picture of a run is called on the page; the content of a blend is the blend."""
    if name == "content" and "source" in config.inputs:
        return "blend"
    return SHOWN.get(name, name)


@dataclass(frozen=True)
class Shot:
    """A picture on the page: its file, relative to the page, and its size in px."""

    href: str
    width: int
    height: int
    name: str = ""


@dataclass
class Gallery:
    """Copies pictures beside the page, the same pixels once.

    Args:
        folder: of the page.
    """

    folder: Path
    _known: dict[Path, Shot] = field(default_factory=dict)

    def shot(self, path: Path | None, name: str = "") -> Shot | None:
        """The copy of a picture; None for None."""
        if path is None:
            return None
        if path not in self._known:
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:16]
            copy = self.folder / "pictures" / f"{digest}.png"
            if not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                write_whole(copy, content)
            with Image.open(copy) as image:
                self._known[path] = Shot(f"pictures/{copy.name}", *image.size)
        known = self._known[path]
        return Shot(known.href, known.width, known.height, name)


@dataclass(frozen=True)
class Cell:
    """One field of the table.

    Attributes:
        jobs: what is shown here, the repetitions after the first; empty where the sweep has none.
        shots: their pictures, None where there is none.
        caption: for the first of them.
    """

    jobs: list[Job]
    shots: list[Shot | None]
    caption: str


@dataclass(frozen=True)
class Table:
    """All that the page needs to lay an experiment out.

    Attributes:
        inputs: pictures that went into every run.
        columns: captions.
        column_inputs: per column, pictures that are its own.
        rows: caption, pictures that are its own, cells.
        row_inputs: names of the rows' pictures, in order.
    """

    inputs: list[Shot]
    columns: list[str]
    column_inputs: list[list[Shot]]
    row_inputs: list[str]
    rows: list[tuple[str, list[Shot | None], list[Cell]]]


def label(experiment: Experiment, key: str, value: str) -> str:
    """Caption of a value: the file's, else the value itself, short."""
    known = experiment.config.labels.get(key, {}).get(value)
    if known is not None:
        return known
    # as typed for Hydra: quotes, and backslashes before signs of its grammar
    plain = re.sub(r"\\(.)", r"\1", value).strip("[]'\"").removeprefix("builtin:")
    return (PurePath(plain).name if key.endswith("path") else plain).replace("_", " ")


def axes(experiment: Experiment) -> tuple[list[str], list[str]]:
    """Keys of rows and of columns; what varies unforeseen, say a user's pictures, makes rows."""
    rows, columns = list(experiment.config.rows), list(experiment.config.columns)
    for key in experiment.varying:
        if key not in rows and key not in columns and key not in REPLICATES:
            rows.append(key)
    if any(key in experiment.varying for key in rows):
        rows = [key for key in rows if key in experiment.varying]
    return rows, columns


def lay_out(experiment: Experiment, gallery: Gallery) -> Table:
    """Puts every job of the sweep into the table that the experiment's file declares."""
    rows, columns = axes(experiment)
    down, across = _product(experiment, rows), _product(experiment, columns)
    shows = experiment.config.show

    def at(keys: Sequence[str], values: Sequence[str]) -> list[Job]:
        return [
            job
            for job in experiment.jobs
            if all(job.values.get(key) == value for key, value in zip(keys, values, strict=True))
        ]

    def picture(jobs: Sequence[Job], name: str) -> Shot | None:
        return gallery.shot(_first(jobs, name), called(name, experiment.config))

    def constant(name: str, groups: Sequence[Sequence[Job]]) -> bool:
        """Whether an input is one picture within each group, and is there at all."""
        kinds = [{shot.href for job in group if (shot := picture([job], name))} for group in groups]
        return any(kinds) and all(len(kind) <= 1 for kind in kinds)

    everywhere, row_inputs, column_inputs = [], [], []
    for name in experiment.config.inputs:
        if constant(name, [experiment.jobs]):
            everywhere.append(name)
        elif constant(name, [at(rows, values) for values in down]):
            row_inputs.append(name)
        elif constant(name, [at(columns, values) for values in across]):
            column_inputs.append(name)
    cells = [
        (
            _caption(experiment, rows, row),
            [picture(at(rows, row), name) for name in row_inputs],
            [
                _cell(at([*rows, *columns], [*row, *column]), show, gallery)
                for show in shows
                for column in across
            ],
        )
        for row in down
    ]
    heads = [
        " · ".join(
            part
            for part in (
                _caption(experiment, columns, column),
                SHOWN[show] if len(shows) > 1 or not columns else "",
            )
            if part
        )
        for show in shows
        for column in across
    ]
    own = [
        [shot for name in column_inputs if (shot := picture(at(columns, column), name)) is not None]
        for _ in shows
        for column in across
    ]
    inputs = [picture(experiment.jobs, name) for name in everywhere]
    return Table([shot for shot in inputs if shot], heads, own, row_inputs, cells)


def _product(experiment: Experiment, keys: Sequence[str]) -> list[tuple[str, ...]]:
    present = {tuple(job.values.get(key, "") for key in keys) for job in experiment.jobs}
    whole = itertools.product(*(order(experiment.jobs, key) or [""] for key in keys))
    return [values for values in whole if values in present]


def _caption(experiment: Experiment, keys: Sequence[str], values: Sequence[str]) -> str:
    pairs = zip(keys, values, strict=True)
    return " · ".join(label(experiment, key, value) for key, value in pairs if value)


def _first(jobs: Sequence[Job], name: str) -> Path | None:
    paths = (job.result.picture(name) for job in jobs if job.result)
    return next((path for path in paths if path), None)


def _cell(jobs: list[Job], show: str, gallery: Gallery) -> Cell:
    jobs = sorted(jobs, key=lambda job: not job.completed)  # a finished one stands for the cell
    shots = [gallery.shot(job.completed.picture(show)) if job.completed else None for job in jobs]
    caption = "not part of the sweep"
    if jobs and jobs[0].completed:
        done = jobs[0].completed
        loss, seconds = done.measure("loss"), done.measure("seconds")
        caption = "" if show == "start" or loss is None else f"loss {loss:.3g}"
        caption += f" · {seconds:.0f} s" if caption and seconds is not None else ""
    elif jobs and jobs[0].result:
        result = jobs[0].result
        reason = result.facts.get("reason")
        caption = f"{result.status}: {reason}" if reason else result.status
    elif jobs:
        caption = "missing: there is no run of it"
    return Cell(jobs, shots, caption)
