"""What a benchmark found: rows of ``outputs/bench.json``, and the table of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path("outputs/bench.json")

PARTS = ("step", "losses", "pastiche", "time", "batch", "search", "many", "memory", "report")
"""In the order of the table."""


@dataclass
class Row:
    """One figure.

    Attributes:
        figure: what was measured, and how ``ratio`` is to be read if it is not theirs / ours.
        unit: of ``ours`` and ``theirs``.
        ours: None: not reached, or not possible.
        theirs: what it is compared with, if there is such a thing.
        ratio: theirs / ours, how many times faster, unless ``figure`` says otherwise. A median of
            ratios is not the ratio of the medians beside it.
        goal: for the ratio; for ``ours`` where there is no ratio to be had.
        better: ``higher`` or ``lower``: on which side of the goal one wants to be.
        part: the part of the benchmark that measures it.
    """

    figure: str
    unit: str
    ours: float | None
    theirs: float | None = None
    ratio: float | None = None
    goal: float | None = None
    better: str = "higher"
    part: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without a goal."""
        if self.goal is None:
            return None
        value = self.ours if self.theirs is None and self.ratio is None else self.ratio
        if value is None:
            return False
        return value >= self.goal if self.better == "higher" else value <= self.goal


def read(path: Path = RESULTS) -> list[Row]:
    """The rows of the last measurements, without those of older versions of the file."""
    if not path.exists():
        return []
    found = json.loads(path.read_text())
    return [Row(**row) for row in found if set(row) == set(asdict(Row("", "", None)))]


def merge(part: str, rows: Iterable[Row], path: Path = RESULTS) -> list[Row]:
    """Puts the rows of a part in the place of its older ones, and returns all."""
    fresh = [Row(**{**asdict(row), "part": part}) for row in rows]
    together = [row for row in read(path) if row.part != part] + fresh
    together.sort(key=lambda row: PARTS.index(row.part))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(row) for row in together], indent=1) + "\n")
    return together


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    lines = ["| figure | ours | theirs | ratio | goal | met |", "|---|---|---|---|---|---|"]
    for row in rows:
        sign = "≥" if row.better == "higher" else "≤"
        cells = [
            row.figure,
            "not reached" if row.ours is None else f"{_short(row.ours)} {row.unit}".strip(),
            "" if row.theirs is None else f"{_short(row.theirs)} {row.unit}".strip(),
            "" if row.ratio is None else f"{row.ratio:.3g}",
            "" if row.goal is None else f"{sign} {row.goal:g}",
            {True: "yes", False: "no", None: ""}[row.met],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"
