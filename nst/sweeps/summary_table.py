"""The table of a sweep for trackers: a row per run."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, read_write
from PIL import Image

from nst.config.differences import differing
from nst.config.experiment import NO_EXPERIMENT
from nst.runner.record import COMPLETED, RunRecord
from nst.runner.tags import tag
from nst.sweeps.contact_sheet import COMPARE, ROWS, filmstrip, first_of
from nst.sweeps.sweep_folder import UNSUCCESSFUL, JobOutcome

Row = dict[str, Any]
"""Values by column: numbers, text, None, or for a picture a function that decodes it, and returns
a ``PIL.Image.Image`` or None."""


@dataclass(frozen=True)
class Summary:
    """The table of a sweep.

    Attributes:
        rows: one per finished run, and one per job that failed or diverged, in the order of the
            sweep, the first ``ROWS`` of them. All have the same columns, in the same order:
            ``job``, ``overrides``, ``status``, ``reason``, the config keys in which the runs
            differ, ``final`` (the best image of a run that diverged), ``snapshots``, final losses,
            quality measures, ``seconds``, ``steps``, ``run``.
        folders: run folders of the finished ones.
        picture: the picture of all of them; None if there is no such file.
        note: a line that says which rows these are; empty if they are all.
        trials: one per trial of the study that the sweep is part of; empty if there is no study.
        front: the picture of the study's best trials; None if there is no such file.
    """

    rows: list[Row]
    folders: list[Path]
    picture: Path | None
    note: str = ""
    trials: list[Row] = field(default_factory=list)
    front: Path | None = None


def summary(
    ended: Sequence[JobOutcome],
    runs: Mapping[Path, RunRecord],
    what: Sequence[str],
    picture: Path,
    command: str = COMPARE,
) -> Summary:
    """Reads the table from the run folders.

    Args:
        ended: outcomes of the jobs.
        runs: of the jobs, by folder.
        what: for every job, by number, the overrides in which the jobs differ.
        picture: path of the picture of all runs, which may be missing.
        command: the command that shows all runs.
    """
    finished: dict[Path, None] = {}  # several jobs may be the same run
    found: list[tuple[Row, RunRecord | None]] = []
    for each in ended:
        number, outcome, folder = each.number, each.outcome, each.folder
        row: Row = {"job": number, "overrides": what[number] if number < len(what) else ""}
        if outcome in UNSUCCESSFUL:
            row |= {"status": outcome, "reason": each.why}
        elif folder is None or folder in finished or runs[folder].picture("final") is None:
            continue
        else:
            finished[folder] = None
            row |= {"status": COMPLETED, "reason": ""}
        found.append((row, runs[folder] if folder else None))
    begun = [(row, run) for row, run in found[:ROWS] if run is not None and run.config]
    for (row, run), own in zip(begun, differing([run.settings for _, run in begun]), strict=True):
        row.update(_run(run, own))
    rows = aligned([row for row, _ in found[:ROWS]])
    note = first_of(len(rows), len(found), "jobs", command)
    return Summary(rows, [*finished], picture if picture.is_file() else None, note)


def _run(run: RunRecord, own: dict[str, Any]) -> Row:
    facts = run.facts
    losses = {key: value for key, value in facts.get("losses", {}).items() if key.count("/") == 1}
    picture = run.picture("final") or run.picture("best")
    return {
        **{key: _cell(value) for key, value in own.items()},
        "final": partial(decoded, picture) if picture else None,
        "snapshots": partial(filmstrip, run),
        **losses,
        **{f"measure/{key}": value for key, value in run.measures.items()},
        "seconds": facts.get("seconds"),
        "steps": facts.get("steps"),
        "run": run.folder.name,
    }


def decoded(path: Path) -> Image.Image:
    """A picture, RGB."""
    with Image.open(path) as file:
        return file.convert("RGB")


def _cell(value: Any) -> Any:
    return ",".join(map(str, value)) if isinstance(value, list) else value


def aligned(found: Sequence[Row]) -> list[Row]:
    """Rows with the same columns, of one type each: trackers refuse mixed types."""
    columns = list(
        dict.fromkeys(key for row in sorted(found, key=len, reverse=True) for key in row)
    )
    mixed = {
        key
        for key in columns
        if len({_kind(row[key]) for row in found if row.get(key) is not None}) > 1
    }
    return [
        {
            key: str(row[key]) if key in mixed and row.get(key) is not None else row.get(key)
            for key in columns
        }
        for row in found
    ]


def _kind(value: Any) -> type:
    return float if type(value) is int else type(value)


def log(config: DictConfig, sweep_dir: Path, found: Summary) -> None:
    """Logs the table to every tracker of the sweep that takes one, as a run of its own.

    Args:
        config: composed for the sweep, with the loggers of its runs.
        sweep_dir: the sweep's folder, whose name is that of the tracker's run and group.
        found: the table.
    """
    if not found.rows:
        return
    config = copy.deepcopy(config)
    name = config.experiment.name
    run = {
        "folder": str(sweep_dir),
        "name": sweep_dir.name,
        "group": sweep_dir.name,
        "tags": [] if name == NO_EXPERIMENT else [tag("experiment", name)],
        "wandb_id": secrets.token_hex(4),
    }
    with read_write(config):
        config.merge_with({"run": run})
    for node in (config.logger or {}).values():
        if hasattr(get_class(node._target_), "log_sweep"):
            instantiate(node).log_sweep(found)
