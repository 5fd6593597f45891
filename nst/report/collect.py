"""Finds experiments and their runs. Reads run folders and nothing else.

Jobs that could not begin left theirs in their sweep's folder.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nst.config.experiment import ExperimentConfig, Member, check
from nst.config.job_overrides import fixed, values, varying
from nst.runs.record import RunRecord, read_json
from nst.utils.errors import ConfigError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One cell of an experiment's sweep, whether it was run or not.

    Attributes:
        overrides: as typed.
        result: the run, None if it is missing.
    """

    overrides: tuple[str, ...]
    result: RunRecord | None

    @cached_property
    def values(self) -> dict[str, str]:
        """Overrides by key."""
        return values(self.overrides)

    @property
    def command(self) -> str:
        """What runs this cell alone."""
        words = [*self.overrides, "hydra.mode=RUN"]
        return "nst " + " ".join(shlex.quote(word) for word in words)

    @property
    def completed(self) -> RunRecord | None:
        """The run, if it has a result."""
        return self.result if self.result and self.result.completed else None


@dataclass(frozen=True)
class Experiment:
    """A declared table with the runs found for it.

    Attributes:
        config: the declaration, as the newest sweep had it.
        jobs: all that the sweep consists of, in order.
        asked: when the sweep began, ISO 8601.
    """

    config: ExperimentConfig
    jobs: list[Job]
    asked: str

    @cached_property
    def varying(self) -> list[str]:
        """Keys that differ between the jobs."""
        return varying([job.overrides for job in self.jobs])

    @property
    def command(self) -> str:
        """What runs all that is missing; values that the file gives are said again."""
        same = [word for word in self.jobs[0].overrides if self._shared(word)]
        typed = {next(iter(values([word]))): word.split("=")[0] for word in self.jobs[0].overrides}
        swept = [f"{typed[key]}={','.join(order(self.jobs, key))}" for key in self.varying]
        words = sorted([*same, *swept], key=lambda word: not word.startswith("+experiments="))
        return "nst " + " ".join(shlex.quote(word) for word in words)

    def _shared(self, override: str) -> bool:
        return all(override in job.overrides for job in self.jobs)


def collect(outputs: Path) -> dict[str, Experiment]:
    """All experiments of which there was a sweep, by name; of each the one that was asked last.

    Runs of earlier sweeps, and runs on their own, fill its cells where they are the same but for
    what cannot change a picture.
    """
    records: dict[str, list[tuple[Path, Member]]] = {}
    for folder, member in _members(outputs):
        records.setdefault(member.experiment["name"], []).append((folder, member))
    experiments = {}
    for name, found in records.items():
        sweeps = [member for _, member in found if member.jobs]
        newest = max(sweeps, key=lambda member: member.asked, default=None)
        config = None if newest is None else _declaration(newest.experiment, name)
        if newest is not None and config is not None:
            jobs = _jobs(newest, found)
            experiments[name] = Experiment(config, jobs, newest.asked)
    return dict(sorted(experiments.items(), key=lambda item: (item[1].config.section, item[0])))


def _jobs(sweep: Member, found: Sequence[tuple[Path, Member]]) -> list[Job]:
    """The sweep's jobs with their runs; of several for one job a finished one, then the last."""
    changing = varying(sweep.jobs)
    same = fixed(sweep.jobs[0], changing)
    results: dict[tuple[str | None, ...], RunRecord] = {}
    for folder, member in sorted(found, key=lambda item: item[1].asked):
        alike = member.base == sweep.base if member.jobs else True
        if alike and fixed(member.overrides, changing) == same:
            key = _cell(member.overrides, changing)
            result = RunRecord(folder)
            if result.completed or key not in results or not results[key].completed:
                results[key] = result
    return [Job(tuple(job), results.get(_cell(job, changing))) for job in sweep.jobs]


def _cell(overrides: Sequence[str], changing: Sequence[str]) -> tuple[str | None, ...]:
    named = values(overrides)
    return tuple(named.get(key) for key in changing)


def _members(outputs: Path) -> Iterator[tuple[Path, Member]]:
    folders = [*outputs.glob("runs/*"), *outputs.glob("sweeps/*/*")]
    for path in sorted(path for folder in folders for path in folder.glob("experiments/*.json")):
        record = read_json(path)
        try:
            member = Member(**record)
            texts = [*member.overrides, *(text for job in member.jobs for text in job)]
            texts += [member.base, member.asked, member.experiment["name"]]
            if not all(isinstance(text, str) for text in texts):
                raise TypeError
        except (KeyError, TypeError):
            log.warning("ignored, cut short or altered: %s", path)
            continue
        yield path.parents[1], member


def _declaration(node: dict[str, Any], name: str) -> ExperimentConfig | None:
    try:
        merged = OmegaConf.merge(OmegaConf.structured(ExperimentConfig), OmegaConf.create(node))
        config = OmegaConf.to_object(merged)
        assert isinstance(config, ExperimentConfig)
        check(config)
    except (OmegaConfBaseException, ConfigError, AssertionError, ValueError) as error:
        log.warning("ignored, no valid declaration of %s: %s", name, error)
        return None
    return config


def order(jobs: Sequence[Job], key: str) -> list[str]:
    """Values of a key in the order of the sweep."""
    return list(dict.fromkeys(job.values[key] for job in jobs if key in job.values))
