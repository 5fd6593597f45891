"""What the page knows of the runs: the content of ``runs.js``, see ``scripts/types.d.ts``."""

from __future__ import annotations

import json
import math
import os
import shlex
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress

from nst.compare.filmstrips import Filmstrip, filmstrip, href
from nst.compare.select import Entry
from nst.compare.study_data import study_data, trial_label
from nst.config.differences import settings
from nst.config.experiment import MEASURES, STYLE_INPUTS, VOTED
from nst.config.job_overrides import split
from nst.config.keys import declared, displayed_values
from nst.runs.record import PRUNED, RunRecord

if TYPE_CHECKING:
    from nst.sweeps.search.record import StudyRecord

POINTS = 150
"""Largest number of rows of ``metrics.csv`` per run, closer together at the beginning."""


def data(
    page: Path, chosen: Sequence[Entry], study: StudyRecord | None, refresh: float | None
) -> dict[str, Any]:
    """The data of the page.

    Args:
        page: its folder.
        chosen: the runs.
        study: that the page is about; None: about none.
        refresh: seconds between two looks for newer data; None: the page never looks.
    """
    configs = [entry.record.config for entry in chosen]
    keys = list(dict.fromkeys(key for found in settings(configs) for key in found))
    labels = _labels(chosen, keys, study)
    facts = [{**entry.facts, "label": label} for entry, label in zip(chosen, labels, strict=True)]
    shared = {
        key: value
        for key, value in facts[0].items()
        if all(other.get(key) == value for other in facts)
    }
    strips = _filmstrips(page, chosen)
    return {
        "live": refresh,
        "made": time.time(),
        "keys": keys,
        "settings": list(displayed_values(configs[0])),
        "shared": shared,
        "measures": {name: asdict(measure) for name, measure in {**MEASURES, **VOTED}.items()},
        "runs": [
            _run(page, entry, strip)
            | {"facts": {key: value for key, value in own.items() if key not in shared}}
            for entry, own, strip in zip(chosen, facts, strips, strict=True)
        ],
        "study": study and study_data(study, _keys_of_trials(chosen, study)),
    }


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


def _key(entry: Entry) -> str:
    """A short name of a run: the end of its folder's, from its signature."""
    place = entry.name.rfind(str(entry.record.facts.get("signature", "")))
    return entry.name[max(place, 0) :] or entry.name


def _keys_of_trials(chosen: Sequence[Entry], study: StudyRecord) -> dict[int, str]:
    """By the number of a trial, the key of its run."""
    return {number: _key(entry) for entry in chosen for number in entry.trials.get(study.name, [])}


def _labels(chosen: Sequence[Entry], keys: Sequence[str], study: StudyRecord | None) -> list[str]:
    """For each run its trial, or the settings in which it differs from others; unique."""
    labels = []
    for entry in chosen:
        if study and (numbers := entry.trials.get(study.name)):
            labels.append(trial_label(study, numbers))
            continue
        own = {key: entry.facts[key] for key in keys if key in entry.facts}
        texts = {key: ", ".join(v) if isinstance(v, list) else v for key, v in own.items()}
        labels.append(" ".join(f"{key}={value}" for key, value in texts.items()) or entry.name)
    counts = Counter(labels)
    return [
        label if counts[label] == 1 else f"{label} ({_key(entry)})"
        for entry, label in zip(chosen, labels, strict=True)
    ]


def _filmstrips(page: Path, chosen: Sequence[Entry]) -> list[Filmstrip | None]:
    console = Console(stderr=True)
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        Progress(console=console, transient=True, disable=not console.is_terminal) as bar,
    ):
        frames = [_frames(entry.record) for entry in chosen]
        names = [entry.name for entry in chosen]
        made = pool.map(filmstrip, [page] * len(chosen), names, frames)
        return list(bar.track(made, total=len(chosen), description="thumbnails"))


def _frames(record: RunRecord) -> list[tuple[int, Path]]:
    """Steps and files of the snapshots.

    A measured picture has one frame, itself. A pruned run ends with its best image.
    """
    if record.measured and (final := record.picture("final")):
        return [(0, final)]
    if record.status == PRUNED and (best := record.picture("best")):
        step = record.facts.get("best_step", 0)
        earlier = {at: path for at, path in record.snapshots.items() if at < step}
        return [*earlier.items(), (step, best)]
    return list(record.snapshots.items())


def _run(page: Path, entry: Entry, strip: Filmstrip | None) -> dict[str, Any]:
    record = entry.record
    seconds = {int(row["step"]): row["seconds"] for row in record.rows}
    names = ("content", *STYLE_INPUTS)
    inputs = {name.replace("_", " "): record.picture(name) for name in names}
    return {
        "key": _key(entry),
        "folder": href(page, record.folder),
        "reason": record.facts.get("reason"),
        "measured": record.measured,
        "subject": subject(record),
        "filmstrip": strip
        and asdict(strip) | {"seconds": [seconds.get(step, 0.0) for step in strip.steps]},
        "inputs": {name: href(page, path) for name, path in inputs.items() if path},
        "command": _command(record.config),
        "optimised": [name for name, each in MEASURES.items() if each.optimised(record.settings)],
        "curves": _curves(record.rows),
    }


def _command(config: dict[str, Any]) -> str | None:
    """The command that makes the run; None if it was not made from the command line."""
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
