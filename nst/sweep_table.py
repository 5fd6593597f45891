"""The table that ends a sweep, for the trackers that take one: a row per run."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, read_write
from PIL import Image

from nst.experiment import NO_EXPERIMENT
from nst.folder import FAILED, read_facts
from nst.side_by_side import filmstrip, settings
from nst.tags import tag

Row = dict[str, Any]
"""By column: numbers, words, and pictures as ``PIL.Image.Image``; None where there is nothing."""


@dataclass(frozen=True)
class Summary:
    """What a sweep came to.

    Attributes:
        rows: one per finished run, and one per job that failed, in the order of the sweep. All have
            the same columns, in the same order: ``job``, ``overrides``, ``status``, ``reason``, the
            config keys in which the runs differ, ``final``, ``snapshots``, final losses, quality
            measures, ``seconds``, ``steps``, ``run``.
        folders: run folders of the finished ones.
        picture: all of them side by side, if there is such a file.
    """

    rows: list[Row]
    folders: list[Path]
    picture: Path | None


def summary(ended: Sequence[tuple[int, str, str]], what: Sequence[str], picture: Path) -> Summary:
    """Reads it from the run folders.

    Args:
        ended: number, outcome and run folder (or why it failed) of every job that ended.
        what: of every job, by its number, the overrides that make it.
        picture: where the runs are side by side, if they are.
    """
    folders: dict[Path, Row] = {}  # several jobs may have asked for the same run
    found: list[Row] = []
    for number, outcome, text in ended:
        row: Row = {"job": number, "overrides": what[number] if number < len(what) else ""}
        if outcome == FAILED:
            found.append(row | {"status": FAILED, "reason": text})
        elif (Path(text) / "final.png").is_file() and Path(text) not in folders:
            folders[Path(text)] = row
            found.append(row)
    for (folder, row), differing in zip(folders.items(), settings([*folders]), strict=True):
        row.update(_run(folder, differing))
    return Summary(_aligned(found), list(folders), picture if picture.is_file() else None)


def _run(folder: Path, differing: dict[str, Any]) -> dict[str, Any]:
    facts = read_facts(folder)
    losses = {key: value for key, value in facts.get("losses", {}).items() if key.count("/") == 1}
    with Image.open(folder / "final.png") as file:
        final = file.convert("RGB")
    return {
        "status": facts.get("status"),
        "reason": "",
        **{key: _cell(value) for key, value in differing.items()},
        "final": final,
        "snapshots": filmstrip(folder),
        **losses,
        **{f"measure/{key}": value for key, value in facts.get("measures", {}).items()},
        "seconds": facts.get("seconds"),
        "steps": facts.get("steps"),
        "run": folder.name,
    }


def _cell(value: Any) -> Any:
    return ",".join(map(str, value)) if isinstance(value, list) else value


def _aligned(found: Sequence[Row]) -> list[Row]:
    """The same columns in every row, of one type each: trackers refuse mixed ones."""
    columns = list(
        dict.fromkeys(key for row in sorted(found, key=len, reverse=True) for key in row)
    )
    worded = {
        key
        for key in columns
        if len({_kind(row[key]) for row in found if row.get(key) is not None}) > 1
    }
    return [
        {
            key: str(row[key]) if key in worded and row.get(key) is not None else row.get(key)
            for key in columns
        }
        for row in found
    ]


def _kind(value: Any) -> type:
    return float if type(value) is int else type(value)


def log(config: DictConfig, sweep_dir: Path, found: Summary) -> None:
    """Hands the table to every tracker of the sweep that takes one, as a run of its own.

    Args:
        config: composed for the sweep, with the loggers of its runs.
        sweep_dir: the sweep's folder; the run has its name, and the group of the sweep's runs.
        found: what it came to.
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
