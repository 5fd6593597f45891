"""Reads run folders, which ``folder`` writes."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from nst.config.keys import PROGRAM, displayed_values
from nst.config.objective import is_loss
from nst.runner import experiment_jobs
from nst.utils.files import read_json
from nst.vgg.architecture import CIRCULAR

log = logging.getLogger(__name__)

COMPLETED = "completed"
RUNNING = "running"
INTERRUPTED = "interrupted"
FAILED = "failed"
DIVERGED = "diverged"
PRUNED = "pruned"

FACTS = "run.json"
_SEAL = "sha256"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it was built


@dataclass(frozen=True)
class RunRecord:
    """A run folder's contents; every file is read once, on first use.

    Attributes:
        folder: the run folder.
    """

    folder: Path

    @cached_property
    def facts(self) -> dict[str, Any]:
        """``run.json``; empty if it cannot be read."""
        return read_facts(self.folder)

    @property
    def status(self) -> str:
        """One of the statuses above; ``unreadable`` without a readable ``run.json``."""
        return str(self.facts.get("status", "unreadable"))

    @property
    def completed(self) -> bool:
        """Whether there is a result."""
        return self.status == COMPLETED

    @property
    def measured(self) -> bool:
        """Whether it is a measured picture: without settings, steps and losses."""
        return PROGRAM in self.facts

    @property
    def program(self) -> str:
        """The program that made the picture: ``nst``, unless it is a measured picture."""
        return str(self.facts.get(PROGRAM, "nst"))

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved config; empty if it cannot be read."""
        try:
            return read_config(self.folder)
        except (OSError, ValueError):
            return {}

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The values of the config that may change the picture, by dotted key."""
        return displayed_values(self.config)

    @property
    def wraps(self) -> bool:
        """Whether the picture wraps around, so that copies of it fit side by side as tiles."""
        return self.settings.get("backbone.padding") == CIRCULAR

    @cached_property
    def rows(self) -> list[dict[str, float]]:
        """``metrics.csv``, a dict per logged step; empty if it cannot be read."""
        try:
            with (self.folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
                return [
                    {key: float(value) for key, value in row.items() if value}
                    for row in csv.DictReader(file)
                ]
        except (OSError, ValueError, TypeError):
            return []

    @property
    def snapshots(self) -> dict[int, Path]:
        """The intermediate images by step, in order."""
        paths = sorted((self.folder / "snapshots").glob("*.png"))
        return {int(path.stem): path for path in paths if path.stem.isdigit()}

    @property
    def inputs(self) -> dict[str, Path]:
        """The input pictures by name: ``content``, ``style`` and what they were made of."""
        return {path.stem: path for path in sorted((self.folder / "inputs").glob("*.png"))}

    @property
    def experiments(self) -> list[str]:
        """Names of the experiments that the run is part of."""
        return experiment_jobs.names(self.folder)

    @property
    def measures(self) -> dict[str, float]:
        """Measures of the result (``nst.config.experiment.MEASURES``)."""
        found: dict[str, float] = self.facts.get("measures", {})
        return found

    def measure(self, name: str) -> float | None:
        """A measure of this run alone, or a loss such as ``loss/style``; None if unknown."""
        if name == "loss" or is_loss(name):
            return self.facts.get("losses", {}).get("loss/total" if name == "loss" else name)
        if name == "seconds":
            return self.facts.get("seconds")
        return self.measures.get(name)

    def picture(self, name: str) -> Path | None:
        """A picture of the run, such as ``final`` or the input ``content``; None: it has none.

        Args:
            name: ``final``, ``best``, ``tiled``, ``start``, or an input's.
        """
        if name == "start":
            path = self.folder / "snapshots" / "00000.png"
        elif name in ("final", "best", "tiled"):
            path = self.folder / f"{name}.png"
        else:
            path = self.folder / "inputs" / f"{name}.png"
        return path if path.is_file() else None


def read_facts(path: Path) -> dict[str, Any]:
    """``run.json`` of a run folder; empty if it is missing, cut short or altered."""
    facts = read_json(path / FACTS)
    found = facts.pop(_SEAL, None)
    if found is None:  # of an older version
        return facts
    return facts if found == _digest(facts) else {}


def read_status(path: Path) -> str | None:
    """``status`` of a run folder; None if there is no readable ``run.json``."""
    return read_facts(path).get("status")


def finished(path: Path) -> bool:
    """Whether a run folder holds a result."""
    return read_status(path) == COMPLETED and (path / "final.png").is_file()


def seal(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts with a hash that shows whether they were altered."""
    return {**facts, _SEAL: _digest(facts)}


def _digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def read_config(folder: Path) -> dict[str, Any]:
    """The resolved config of a run folder.

    Raises:
        OSError: if it is missing.
        ValueError: if it cannot be read.
    """
    try:
        found = yaml.load((folder / "config.yaml").read_text(encoding="utf-8"), _Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"{folder}/config.yaml: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{folder}/config.yaml: no config")
    return found
