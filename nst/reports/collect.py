"""Finds experiments and the runs of their jobs, from run folders alone.

A job that could not start has a folder within the folder of its sweep.
"""

from __future__ import annotations

import logging
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nst.config.experiment import (
    ALL,
    ExperimentConfig,
    ExperimentJob,
    ExperimentSweep,
    QuestionConfig,
    check,
)
from nst.config.job_overrides import fixed, values, varying
from nst.config.overrides import parse
from nst.runner import experiment_jobs
from nst.runner.record import RunRecord
from nst.utils.errors import ConfigError

log = logging.getLogger(__name__)

REPLICATES = ("seed",)
"""Keys that repeat a cell, unless the experiment's file names them as rows or columns."""

SEPARATOR = " · "
"""Between the captions of several keys."""


@dataclass(frozen=True)
class JobRecord:
    """A job of an experiment's sweep, with its run.

    Attributes:
        overrides: as typed.
        run: None if the job was never run.
    """

    overrides: tuple[str, ...]
    run: RunRecord | None

    @cached_property
    def values(self) -> dict[str, str]:
        """The values of the overrides, by key."""
        return values(self.overrides)

    def at(self, keys: Sequence[str]) -> tuple[str, ...]:
        """The values of these keys; empty for a key that is not overridden."""
        return tuple(self.values.get(key, "") for key in keys)

    @property
    def command(self) -> str:
        """The command that runs this job alone."""
        return _command([*self.overrides, "hydra.mode=RUN"])

    @property
    def completed(self) -> RunRecord | None:
        """The run, if it is completed."""
        return self.run if self.run and self.run.completed else None


@dataclass(frozen=True)
class Experiment:
    """An experiment's declaration and the jobs of its newest sweep.

    Attributes:
        config: the declaration that the sweep was started with.
        jobs: all jobs of the sweep, in order.
    """

    config: ExperimentConfig
    jobs: list[JobRecord]

    @cached_property
    def varying(self) -> list[str]:
        """Keys that differ between the jobs."""
        return varying([job.overrides for job in self.jobs])

    @cached_property
    def axes(self) -> tuple[list[str], list[str]]:
        """Keys of the table's rows and columns; other keys that vary make rows."""
        rows, columns = list(self.config.rows), list(self.config.columns)
        rows += [key for key in self.varying if key not in (*rows, *columns, *REPLICATES)]
        return [key for key in rows if key in self.varying] or rows, columns

    def order(self, key: str) -> list[str]:
        """Values of a key in the order of the sweep."""
        return list(dict.fromkeys(job.values[key] for job in self.jobs if key in job.values))

    def groups(self, keys: Sequence[str]) -> dict[tuple[str, ...], list[JobRecord]]:
        """Jobs by their values of these keys, sorted by the first key, then the second, …"""
        found: dict[tuple[str, ...], list[JobRecord]] = {}
        for job in self.jobs:
            found.setdefault(job.at(keys), []).append(job)
        orders = [["", *self.order(key)] for key in keys]

        def rank(values: tuple[str, ...]) -> list[int]:
            return [order.index(value) for order, value in zip(orders, values, strict=True)]

        return {values: found[values] for values in sorted(found, key=rank)}

    def cases(self, question: QuestionConfig) -> list[tuple[str, Experiment]]:
        """The jobs that a question is about; with ``each``, by the caption of each value."""
        jobs = [job for job in self.jobs if question.only.items() <= job.values.items()]
        if not question.each:
            return [("", replace(self, jobs=jobs))]
        key = question.each
        return [
            (self.label(key, value), replace(self, jobs=own))
            for value in self.order(key)
            if (own := [job for job in jobs if job.values.get(key) == value])
        ]

    def label(self, key: str, value: str) -> str:
        """The caption that the file declares for a value, else a short form of the value."""
        # as written for Hydra: quotes, and backslashes before characters of its grammar
        unescaped = re.sub(r"\\(.)", r"\1", value)
        declared = self.config.labels.get(key, {})
        for each in (value, unescaped):
            if each in declared:
                return declared[each]
        plain = unescaped.strip("[]'\"").removeprefix("builtin:")
        return (PurePath(plain).name if key.endswith("path") else plain).replace("_", " ")

    def caption(self, job: JobRecord, keys: Sequence[str]) -> str:
        """The captions of a job's values: ``style 1e4, content 1 · seed 0``."""
        pairs = [(key, self.label(key, job.values[key])) for key in keys if key in job.values]
        return SEPARATOR.join(f"{key} {text}" if text.isdigit() else text for key, text in pairs)

    @property
    def command(self) -> str:
        """The command that runs the whole sweep.

        A line for each job where they are not all combinations of their values, as with a table
        of pairs.
        """
        cells = {job.at(self.varying) for job in self.jobs}
        complete = all(job.values.keys() >= set(self.varying) for job in self.jobs)
        if not complete or len(cells) < math.prod(len(self.order(key)) for key in self.varying):
            return "\n".join(dict.fromkeys(job.command for job in self.jobs))
        first, *rest = self.jobs
        same = [word for word in first.overrides if all(word in job.overrides for job in rest)]
        found = filter(None, map(parse, first.overrides))
        typed = {override.key_or_group: override.get_key_element() for override in found}
        swept = [f"{typed[key]}={','.join(self.order(key))}" for key in self.varying]
        return _command(
            sorted([*same, *swept], key=lambda word: not word.startswith("+experiments="))
        )


def _command(words: Sequence[str]) -> str:
    return shlex.join(["nst", *words])


def collect(outputs: Path) -> dict[str, Experiment]:
    """Returns the newest sweep of every experiment, by name, sorted by section.

    Its cells are filled by the runs of earlier sweeps, and by single runs, whose overrides and
    experiment file determine the same picture.
    """
    by_name: dict[str, list[tuple[ExperimentJob, RunRecord]]] = {}
    for folder in sorted([*outputs.glob("runs/*"), *outputs.glob("sweeps/*/*")]):
        run = RunRecord(folder)
        for job in experiment_jobs.read(run.folder):
            by_name.setdefault(job.experiment["name"], []).append((job, run))
    experiments = {}
    for name, found in by_name.items():
        sweeps = [job for job, _ in found if job.sweep.jobs]
        newest = max(sweeps, key=lambda job: job.sweep.asked, default=None)
        config = _declaration(newest.experiment, name) if newest else None
        if newest and config:
            experiments[name] = Experiment(config, _jobs(newest.sweep, found))
    return dict(sorted(experiments.items(), key=lambda item: (item[1].config.section, item[0])))


def select(found: Mapping[str, Experiment], names: Sequence[str], report: str) -> list[Experiment]:
    """Those of the experiments that have these names; no names: those of a report."""
    return [
        each
        for name, each in found.items()
        if (name in names if names else report in (each.config.report, ALL))
    ]


def _jobs(
    sweep: ExperimentSweep, found: Sequence[tuple[ExperimentJob, RunRecord]]
) -> list[JobRecord]:
    """Returns the sweep's jobs, each with its newest completed run, else its newest run."""
    changing = varying(sweep.jobs)
    same = fixed(sweep.jobs[0], changing)

    def cell(overrides: Sequence[str]) -> tuple[str | None, ...]:
        return tuple(map(values(overrides).get, changing))

    runs: dict[tuple[str | None, ...], RunRecord] = {}
    for job, run in sorted(found, key=lambda item: item[0].sweep.asked):
        alike = not job.sweep.jobs or job.sweep.base == sweep.base
        if alike and fixed(job.overrides, changing) == same:
            key = cell(job.overrides)
            if run.completed or key not in runs or not runs[key].completed:
                runs[key] = run
    return [JobRecord(tuple(each), runs.get(cell(each))) for each in sweep.jobs]


def _declaration(node: dict[str, Any], name: str) -> ExperimentConfig | None:
    try:
        merged = OmegaConf.merge(OmegaConf.structured(ExperimentConfig), OmegaConf.create(node))
        config = OmegaConf.to_object(merged)
        assert isinstance(config, ExperimentConfig)
        check(config)
    except (OmegaConfBaseException, ConfigError, AssertionError, ValueError) as error:
        log.warning("skipped: %s has no valid declaration: %s", name, error)
        return None
    return config
