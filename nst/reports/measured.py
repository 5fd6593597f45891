"""The section of measured pictures: what other programs made, beside the runs of the same pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst.config.differences import labels, settings
from nst.config.experiment import MEASURES
from nst.reports.table import Gallery, Shot
from nst.runner.record import RunRecord

EXPERIMENT = "measured"
"""In the column ``experiment`` of ``numbers.csv``."""

MOST = 8
"""Largest number of runs in a group."""

RANKS = ("combined_distance", "gram_distance", "content_distance")
"""Runs are ranked by the first of them that they have."""

INPUTS = ("content", "style")


@dataclass(frozen=True)
class Pair:
    """The measured pictures of one content and style, and the runs with the same inputs.

    Attributes:
        pictures: records of the measured pictures, by program and name.
        runs: completed, the best first, at most ``MOST``.
        more: number of the other runs.
    """

    pictures: list[RunRecord]
    runs: list[RunRecord]
    more: int

    @property
    def names(self) -> dict[str, str]:
        """The names of the content and the style; one of them may be missing."""
        found = labels(self.pictures[0].config)
        return {name: found[name][0] for name in INPUTS if name in found}


@dataclass(frozen=True)
class Row:
    """A picture with its program, its caption and its file on the page."""

    record: RunRecord
    caption: str
    shot: Shot


@dataclass(frozen=True)
class Group:
    """A pair as the templates show it.

    Attributes:
        inputs: the content and the style.
        rows: the measured pictures, then the runs.
        measures: names of the metrics that any row has.
        best: the best value of each, if there are several.
        more: number of runs that are not shown.
    """

    inputs: list[Shot]
    rows: list[Row]
    measures: list[str]
    best: dict[str, float]
    more: int


def collect(outputs: Path) -> list[Pair]:
    """The measured pictures of an output folder by pair, and the runs with the same inputs."""
    found = [RunRecord(folder) for folder in sorted(outputs.glob("runs/*"))]
    found = [record for record in found if record.completed and record.picture("final")]
    runs = [record for record in found if not record.measured]
    by_pair: dict[str, list[RunRecord]] = {}
    for record in found:
        if record.measured and record.config:
            by_pair.setdefault(str(_inputs(record)), []).append(record)
    pairs = []
    for pictures in by_pair.values():
        ranked = sorted((run for run in runs if _same_inputs(run, pictures[0])), key=_rank)
        pictures.sort(key=lambda each: (each.program, str(each.config.get("picture"))))
        pairs.append(Pair(pictures, ranked[:MOST], len(ranked[MOST:])))
    return sorted(pairs, key=lambda pair: list(pair.names.values()))


def _inputs(record: RunRecord) -> dict[str, str] | None:
    """The hashes of the content and the style; None for a run of an older version."""
    found: dict[str, str] | None = record.facts.get("inputs_sha256")
    return found


def _same_inputs(run: RunRecord, picture: RunRecord) -> bool:
    if _inputs(run) is not None:
        return _inputs(run) == _inputs(picture)
    return _paths(run) == _paths(picture)


def _paths(record: RunRecord) -> dict[str, Any]:
    """The files of the content and the style, as far as they were used."""
    used = [name for name in INPUTS if record.picture(name)]
    return {name: (record.config.get(name) or {}).get("path") for name in used}


def _rank(run: RunRecord) -> float:
    return next((run.measures[name] for name in RANKS if name in run.measures), math.inf)


def lay_out(pairs: Sequence[Pair], gallery: Gallery) -> list[Group]:
    """The pairs with their pictures copied into the page's folder."""
    return [_group(pair, gallery) for pair in pairs]


def _group(pair: Pair, gallery: Gallery) -> Group:
    records = [*pair.pictures, *pair.runs]
    captions = [str(each.config.get("picture", each.folder.name)) for each in pair.pictures]
    captions += _captions(pair.runs)
    first = pair.pictures[0]
    names = [name for name in MEASURES if any(name in each.measures for each in records)]
    return Group(
        inputs=[
            gallery.shot(path, f"{name}: {label}")
            for name, label in pair.names.items()
            if (path := first.picture(name))
        ],
        rows=[
            Row(record, caption, gallery.shot(path))
            for record, caption in zip(records, captions, strict=True)
            if (path := record.picture("final"))
        ],
        measures=names,
        best=_best(records, names) if len(records) > 1 else {},
        more=pair.more,
    )


def _captions(runs: Sequence[RunRecord]) -> list[str]:
    """For each run the settings in which they differ, or else the name of its folder."""
    captions = []
    for run, own in zip(runs, settings([run.config for run in runs]), strict=True):
        # an input may have several names
        texts = [f"{key}={value}" for key, value in own.items() if key not in INPUTS]
        captions.append(" ".join(texts) or run.folder.name)
    return captions


def _best(records: Sequence[RunRecord], names: Sequence[str]) -> dict[str, float]:
    best = {"lower": min, "higher": max}
    return {
        name: best[MEASURES[name].better](
            each.measures[name] for each in records if name in each.measures
        )
        for name in names
    }


def numbers(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """The rows of ``numbers.csv``."""
    return [
        {
            "experiment": EXPERIMENT,
            "program": record.program,
            "picture": record.config.get("picture"),
            **pair.names,
            "status": record.status,
            **record.measures,
            "folder": record.folder.name,
        }
        for pair in pairs
        for record in (*pair.pictures, *pair.runs)
    ]
