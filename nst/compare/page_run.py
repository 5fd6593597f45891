"""What the page shows of a run, read from its folder alone."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nst.compare.filmstrips import filmstrip, href
from nst.compare.filter import Facts
from nst.config.differences import labels, text
from nst.config.experiment import MEASURES, STYLE_INPUTS
from nst.config.job_overrides import split
from nst.config.keys import PROGRAM, declared, values
from nst.runner.record import PRUNED, RunRecord

POINTS = 150
"""Largest number of rows of ``metrics.csv`` per run, closer together at the beginning."""


@dataclass(frozen=True)
class PageRun:
    """A run, as far as its folder tells.

    Attributes:
        name: of its folder.
        signature: of its settings; empty for one of an early version.
        settings: the values of its config that may change the picture, by dotted key.
        facts: what a filter can refer to, as text.
        subject: see ``subject``.
        study: that its config names.
        trial: number of its trial there.
        group: of its tracker's run, the name of the sweep that made it.
        command: that makes the run; None if it was not made from the command line.
        optimised: measures that the run minimises itself, or nearly so.
    """

    name: str
    signature: str
    settings: dict[str, Any]
    facts: Facts
    subject: str | None
    study: str | None
    trial: int | None
    group: str | None
    command: str | None
    optimised: list[str]

    @property
    def key(self) -> str:
        """A short name: the end of the folder's, from its signature."""
        return self.name[max(self.name.rfind(self.signature), 0) :] or self.name


def read(record: RunRecord) -> PageRun | None:
    """A run; None: its config cannot be read."""
    config = record.config
    if not config:
        return None
    found = {
        **values(config),
        **labels(config),
        **metrics(record),
        "name": record.folder.name,
        "status": record.status,
        PROGRAM: record.program,
        "experiment": record.experiments,
    }
    return PageRun(
        record.folder.name,
        str(record.facts.get("signature", "")),
        record.settings,
        as_texts(found),
        subject(record),
        config.get("study"),
        config.get("trial"),
        (config.get("run") or {}).get("group"),
        _command(config),
        [name for name, each in MEASURES.items() if each.optimised(record.settings)],
    )


def as_texts(found: Mapping[str, Any]) -> Facts:
    """Values as a filter compares them."""
    return {
        key: [*map(text, value)] if isinstance(value, list) else text(value)
        for key, value in found.items()
    }


def metrics(record: RunRecord) -> dict[str, float]:
    """Measures and last losses by name; of an unfinished run, those of its last row."""
    last = {} if record.completed else next(iter(record.rows[-1:]), {})
    losses = {key: value for key, value in last.items() if key.startswith("loss/")}
    losses |= record.facts.get("losses", {})
    found = {
        **losses,
        **{name: record.measure(name) for name in MEASURES},
        "loss": losses.get("loss/total"),
        "seconds": record.measure("seconds") or last.get("seconds"),
    }
    return {name: value for name, value in found.items() if value is not None}


def subject(record: RunRecord) -> str | None:
    """The content and the style of a run: results of the same ones can be compared by eye.

    As typed: a style in new colours (``colour``) is still the same style.

    Returns:
        None: there is no result.
    """
    if not record.completed or record.picture("final") is None:
        return None
    used = [name for name in ("content", "style") if record.picture(name)]
    found = {name: record.settings.get(f"{name}.path") for name in used}
    if "content" in used and found["content"] is None:  # a blend
        found |= {key: each for key, each in record.settings.items() if key.startswith("content.")}
    return json.dumps(found, sort_keys=True, default=str)


def details(page: Path, record: RunRecord) -> dict[str, Any]:
    """A run's part of the page's data, see ``scripts/types.d.ts``; its filmstrip is written.

    Needs no config: to parse it takes longer than all the rest but the filmstrip.

    Args:
        page: folder of the page.
        record: of the run.
    """
    seconds = {int(row["step"]): row["seconds"] for row in record.rows}
    names = ("content", *STYLE_INPUTS)
    inputs = {name.replace("_", " "): record.picture(name) for name in names}
    strip = filmstrip(page, record.folder.name, _frames(record))
    return {
        "folder": href(page, record.folder),
        "reason": record.facts.get("reason"),
        "measured": record.measured,
        "filmstrip": strip
        and asdict(strip) | {"seconds": [seconds.get(step, 0.0) for step in strip.steps]},
        "inputs": {name: href(page, path) for name, path in inputs.items() if path},
        "curves": _curves(record.rows),
    }


def _frames(record: RunRecord) -> list[tuple[int, Path]]:
    """Steps and files of the snapshots.

    A measured picture has one frame, itself. A pruned run ends with its best image.
    """
    if record.measured and (final := record.picture("final")):
        return [(0, final)]
    snapshots = record.snapshots
    if record.status == PRUNED and (best := record.picture("best")):
        step = record.facts.get("best_step", 0)
        earlier = {at: path for at, path in snapshots.items() if at < step}
        return [*earlier.items(), (step, best)]
    return list(snapshots.items())


def _command(config: dict[str, Any]) -> str | None:
    words = (config.get("run") or {}).get("overrides")
    if words is None:
        return None
    parsed = [(word, (split(word) or ("", ""))[0]) for word in words]
    own = [word for word, key in parsed if not ((found := declared(key)) and found.rerun)]
    if any(key == "experiments" for _, key in parsed):
        own.append("hydra.mode=RUN")  # the experiment's file chooses a sweep
    return " ".join(["nst", *map(shlex.quote, own)])


def _curves(rows: Sequence[dict[str, float]]) -> dict[str, list[float | None]]:
    """Columns of ``metrics.csv``, at most ``POINTS`` rows, to four digits."""
    chosen = [rows[index] for index in _thinned(len(rows))]
    names = [key for key in rows[0] if key not in ("step", "lr")] if rows else []
    curves = {name: [_rounded(row.get(name)) for row in chosen] for name in names}
    return {"step": [int(row["step"]) for row in chosen], **curves} if rows else {}


def _thinned(count: int) -> list[int]:
    if count <= POINTS:
        return list(range(count))
    # dense where losses fall fast, even on a log axis
    exponent = 2.0
    spread = {round((count - 1) * (index / (POINTS - 1)) ** exponent) for index in range(POINTS)}
    return sorted(spread)


def _rounded(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None  # JSON has no such number
    return float(f"{value:.4g}")
