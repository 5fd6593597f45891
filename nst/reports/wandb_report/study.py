"""A workspace in W&B for a study: what it searched and what it reached."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws

from nst.config.keys import is_label
from nst.reports.plots import Line
from nst.reports.wandb_report import models, panels
from nst.reports.wandb_report.runs import LoggedRun, logged
from nst.runner.record import RunRecord

if TYPE_CHECKING:
    from nst.sweeps.search.record import StudyRecord

INPUTS = ("content", "style")
FRONT, OTHER = 0, 6
"""Colours of the runs of the front, and of the others: blue and grey."""


def logged_trials(outputs: Path, study: StudyRecord) -> list[LoggedRun]:
    """The runs of completed trials that were logged to W&B, each once.

    Args:
        outputs: root folder of the runs.
        study: any.
    """
    best = {trial.run for trial in study.front}
    return logged(
        Line(
            RunRecord(outputs / "runs" / trial.run),
            f"trial {trial.number}",
            "",
            FRONT if trial.run in best else OTHER,
            0,
        )
        for trial in study.completed
        if trial.run
    )


def workspace(
    study: StudyRecord, runs: Sequence[LoggedRun], entity: str, project: str
) -> ws.Workspace:
    """Builds a view of the project that shows only a study's runs.

    Args:
        study: with at least one run in W&B.
        runs: its runs in W&B.
        entity: whose project it is.
        project: of the runs.
    """
    keys = searched_keys(runs)
    targets = [key for name in study.objective if (key := panels.logged_key(name))]
    scatters = [panels.scatter(x, y) for x, y in itertools.combinations(study.objective, 2)]
    importances = [wr.ParameterImportancePlot(with_respect_to=key) for key in targets]
    parts = [
        panels.Part("parameters and objectives", [parallel_coordinates(study, keys)]),
        panels.Part("front", [panel for panel in scatters if panel]),
        panels.Part("importances", importances, columns=len(importances) or 1),
        panels.media(INPUTS, runs),
        panels.curves(runs),
        panels.differences(),
    ]
    return models.view(study.name, parts, runs, keys, entity, project)


def parallel_coordinates(study: StudyRecord, keys: Sequence[str]) -> Any:
    """A line for each run through its searched settings and what it reached.

    Args:
        study: any.
        keys: of the config.
    """
    columns = [
        wr.ParallelCoordinatesPlotColumn(
            wr.Config(key), display_name=key, log=key in study.logarithmic or None
        )
        for key in keys
    ]
    columns += [
        wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(key), display_name=panels.title(name))
        for name in study.objective
        if (key := panels.logged_key(name))
    ]
    return wr.ParallelCoordinatesPlot(title=study.name, columns=columns)


def searched_keys(runs: Sequence[LoggedRun]) -> list[str]:
    """The keys of the config in which the runs differ; of a group with a name, only the name.

    An override such as ``layers=deep`` is no key of the config: it sets several.
    """
    settings = [each.run.settings for each in runs]
    differing = [
        key
        for key in dict.fromkeys(key for each in settings for key in each)
        if len({str(each.get(key)) for each in settings}) > 1
    ]
    named = {key.rpartition(".")[0] for key in differing if is_label(key)}
    return [key for key in differing if is_label(key) or key.rpartition(".")[0] not in named]
