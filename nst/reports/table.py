"""The table of an experiment: rows, columns, pictures on its edges, and cells."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from nst.config.experiment import ExperimentConfig
from nst.reports.collect import Experiment, JobRecord
from nst.utils.files import write_whole

CAPTIONS = {
    "start": "start",
    "final": "result",
    "paste": "naive paste",
    "original_style": "original style",
}


@dataclass(frozen=True)
class Shot:
    """A picture on the page: its file, relative to the page, its size in px, and its caption.

    Of a gallery without a folder, the file is that of the run folder.
    """

    href: str
    width: int
    height: int
    caption: str = ""


@dataclass
class Gallery:
    """Copies pictures into the page's folder, equal files once.

    Args:
        folder: of the page; None: pictures are not copied, and equal files are the first of them.
    """

    folder: Path | None
    _known: dict[Path, Shot] = field(default_factory=dict)
    _by_digest: dict[str, Shot] = field(default_factory=dict)

    def shot(self, path: Path, caption: str = "") -> Shot:
        """Returns the copy of a picture."""
        if path not in self._known:
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:16]
            if digest not in self._by_digest:
                with Image.open(path) as image:
                    size = image.size
                self._by_digest[digest] = Shot(self._href(path, content, digest), *size)
            self._known[path] = self._by_digest[digest]
        return replace(self._known[path], caption=caption)

    def _href(self, path: Path, content: bytes, digest: str) -> str:
        if self.folder is None:
            return str(path)
        copy = self.folder / "pictures" / f"{digest}.png"
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            write_whole(copy, content)
        return f"pictures/{copy.name}"


@dataclass(frozen=True)
class Column:
    """A column's caption, and the inputs that all its runs share."""

    caption: str
    inputs: list[Shot]


@dataclass(frozen=True)
class Cell:
    """One field of the table.

    Attributes:
        jobs: what is shown here, repetitions after the first; empty if the sweep has no such job.
        shots: their pictures; None for a job without.
        caption: of the first of them.
        tiles: whether copies of the first picture are meant to fit side by side.
        show: the kind of picture: ``final`` or ``start``.
    """

    jobs: list[JobRecord]
    shots: list[Shot | None]
    caption: str
    tiles: bool = False
    show: str = "final"

    def values(self, metric: str) -> list[float]:
        """The metric of the cell's finished runs, each once; none for pictures of the start."""
        if self.show == "start":
            return []
        runs = {job.completed.folder: job.completed for job in self.jobs if job.completed}
        found = (run.measure(metric) for run in runs.values())
        return [value for value in found if value is not None]


@dataclass(frozen=True)
class Row:
    """A row's caption, the inputs that all its runs share, None if missing, and its cells."""

    caption: str
    inputs: list[Shot | None]
    cells: list[Cell]


@dataclass(frozen=True)
class Table:
    """The layout of an experiment.

    Attributes:
        inputs: that all runs share.
        row_inputs: captions of the rows' inputs, in order.
        columns: once for each kind of picture shown.
        rows: in order.
    """

    inputs: list[Shot]
    row_inputs: list[str]
    columns: list[Column]
    rows: list[Row]


def lay_out(experiment: Experiment, gallery: Gallery) -> Table:
    """Returns the table that the experiment's file declares, with all jobs of the sweep."""
    shows = experiment.config.show
    rows, columns = experiment.axes
    down, across = experiment.groups(rows), experiment.groups(columns)
    jobs_at = experiment.groups([*rows, *columns])
    places = [[experiment.jobs], list(down.values()), list(across.values())]
    everywhere, by_row, by_column = _inputs(experiment.config, places, gallery)

    def heading(job: JobRecord, show: str) -> str:
        caption = experiment.caption(job, columns)
        shown = CAPTIONS[show] if len(shows) > 1 or not columns else ""
        return " · ".join(filter(None, [caption, shown]))

    return Table(
        inputs=[shot for shots in everywhere.values() for shot in shots if shot],
        row_inputs=[_caption(name, experiment.config) for name in by_row],
        columns=[
            Column(
                heading(jobs[0], show),
                [shot for shots in by_column.values() if (shot := shots[index])],
            )
            for show in shows
            for index, jobs in enumerate(across.values())
        ],
        rows=[
            Row(
                experiment.caption(jobs[0], rows),
                [shots[index] for shots in by_row.values()],
                [
                    _cell(jobs_at.get((*row, *column), []), show, gallery)
                    for show in shows
                    for column in across
                ],
            )
            for index, (row, jobs) in enumerate(down.items())
        ],
    )


def _caption(name: str, config: ExperimentConfig) -> str:
    """The caption of an input; the content of a blend is the blend."""
    if name == "content" and "source" in config.inputs:
        return "blend"
    return CAPTIONS.get(name, name)


def _inputs(
    config: ExperimentConfig, places: Sequence[Sequence[Sequence[JobRecord]]], gallery: Gallery
) -> list[dict[str, list[Shot | None]]]:
    """Places each input where all jobs of a group share its picture, at the first such place.

    Args:
        config: names the inputs.
        places: for each place, its groups of jobs: the whole table, its rows, its columns.
        gallery: of the page.

    Returns:
        For each place, the pictures of its groups by the name of the input.
    """
    found: list[dict[str, list[Shot | None]]] = [{} for _ in places]
    for name in config.inputs:
        for place, groups in zip(found, places, strict=True):
            shots = [_distinct(jobs, name, _caption(name, config), gallery) for jobs in groups]
            if any(shots) and all(len(each) <= 1 for each in shots):
                place[name] = [each[0] if each else None for each in shots]
                break
    return found


def _distinct(jobs: Iterable[JobRecord], name: str, caption: str, gallery: Gallery) -> list[Shot]:
    """The different pictures of an input in these jobs."""
    paths = (job.run.picture(name) for job in jobs if job.run)
    return list(dict.fromkeys(gallery.shot(path, caption) for path in paths if path))


def _cell(jobs: Sequence[JobRecord], show: str, gallery: Gallery) -> Cell:
    jobs = sorted(jobs, key=lambda job: not job.completed)  # a completed run is shown first
    paths = [job.completed.picture(show) if job.completed else None for job in jobs]
    shots = [gallery.shot(path) if path else None for path in paths]
    first = jobs[0].completed if jobs else None
    tiles = first is not None and first.wraps and show == "final"
    return Cell(jobs, shots, _outcome(jobs[:1], show), tiles, show)


def _outcome(jobs: Sequence[JobRecord], show: str) -> str:
    """The caption of a cell: loss, early end and time of its run, or why there is no picture."""
    if not jobs:
        return "not part of the sweep"
    run = jobs[0].run
    if run is None:
        return "missing: not run yet"
    if not run.completed:
        reason = run.facts.get("reason")
        return f"{run.status}: {reason}" if reason else run.status
    loss, seconds = run.measure("loss"), run.measure("seconds")
    if show == "start" or loss is None:
        return ""
    ended = f"ended at step {run.facts['steps']}" if "reached" in run.facts else ""
    time = "" if seconds is None else f"{seconds:.0f} s"
    return " · ".join(filter(None, [f"loss {loss:.3g}", ended, time]))
