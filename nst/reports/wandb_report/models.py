"""Builds a W&B report of experiments, and a workspace for each; ``save`` sends them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces import expr

from nst.reports import claims, page
from nst.reports.collect import Experiment
from nst.reports.wandb_report import panels
from nst.reports.wandb_report.runs import LoggedRun, grouping_keys, logged_runs
from nst.reports.wandb_report.text import claims_table, runs_table

TITLE = "Neural style transfer experiments"


def report(experiments: Sequence[Experiment], entity: str, project: str) -> wr.Report:
    """Builds the report, with a heading for each experiment.

    Args:
        experiments: in the order of the page; those without a run in W&B are skipped.
        entity: whose project it is.
        project: of the runs.
    """
    blocks: list[Any] = [wr.TableOfContents()]
    for experiment in experiments:
        if runs := logged_runs(experiment):
            blocks += _section(experiment, runs, entity, project)
    return wr.Report(
        entity=entity,
        project=project,
        title=TITLE,
        description=page.counts(experiments),
        blocks=blocks,
        width="fluid",
    )


def workspace(experiment: Experiment, entity: str, project: str) -> ws.Workspace:
    """Builds a view of the project that shows only one experiment's runs.

    Args:
        experiment: with at least one run in W&B.
        entity: whose project it is.
        project: of the runs.
    """
    runs, keys = logged_runs(experiment), grouping_keys(experiment)
    parts = [
        panels.media(experiment.config.inputs, runs),
        panels.curves(runs),
        panels.means(runs, keys),
        panels.bars(runs, keys[0] if len(keys) == 1 else ""),
        panels.trade_offs(experiment),
        panels.differences(),
    ]
    return view(experiment.config.name, parts, runs, keys, entity, project)


def view(
    name: str,
    parts: Sequence[panels.Part],
    runs: Sequence[LoggedRun],
    keys: Sequence[str],
    entity: str,
    project: str,
) -> ws.Workspace:
    """Builds a view of the project that shows only these runs.

    Args:
        name: of an experiment or a study.
        parts: its sections; those without panels are left out.
        runs: at least one.
        keys: of the config, that the table of runs shows first.
        entity: whose project it is.
        project: of the runs.
    """
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"nst: {name}",  # letters and digits; the library refuses emojis
        sections=[
            ws.Section(
                name=part.name,
                panels=part.panels,
                is_open=True,
                layout_settings=ws.SectionLayoutSettings(columns=part.columns, rows=1),
            )
            for part in parts
            if part.panels
        ],
        settings=ws.WorkspaceSettings(max_runs=len(runs)),
        runset_settings=ws.RunsetSettings(
            filters=only(runs),
            order=[expr.Ordering(expr.Metric("CreatedTimestamp"), ascending=True)],
            run_settings={each.id: ws.RunSettings(color=panels.colour(each)) for each in runs},
            pinned_columns=_columns(keys),
        ),
    )


def only(runs: Sequence[LoggedRun]) -> str:
    """Returns the filter that selects these runs, by their ids.

    A run that two experiments share has the tags, the group and the experiment's name of the one
    that computed it.
    """
    # the library edits these characters before it parses the text, even inside strings
    ids = repr([logged.id for logged in runs])
    for sign in "=<>":
        ids = ids.replace(sign, f"\\x{ord(sign):02x}")
    return f'Metric("ID") in {ids}'


def _section(
    experiment: Experiment, runs: Sequence[LoggedRun], entity: str, project: str
) -> list[Any]:
    config, keys = experiment.config, grouping_keys(experiment)
    findings = claims.test(experiment)

    def grid(parts: Sequence[panels.Part], groupby: Sequence[str] = ()) -> wr.PanelGrid:
        runset = wr.Runset(
            entity=entity,
            project=project,
            name=config.name,
            filters=only(runs),
            groupby=[f"config.{key}" for key in groupby],
            order=[wr.OrderBy("CreatedTimestamp", ascending=True)],
            run_settings={each.id: wr.RunSettings(color=panels.colour(each)) for each in runs},
            pinned_columns=_columns(keys),
        )
        return wr.PanelGrid(runsets=[runset], panels=panels.sized(parts))

    single = [
        panels.media(experiment.config.inputs, runs),
        panels.curves(runs),
        panels.trade_offs(experiment),
        panels.differences(),
    ]
    return [
        wr.H2(text=f"{config.section} {config.title}".strip() or config.name),
        wr.P(text=f"{config.about} {page.counts([experiment])}.".strip()),
        *(wr.P(text=note) for note in config.notes),
        *([wr.MarkdownBlock(text=claims_table(experiment, findings))] if findings else []),
        grid(single),
        grid([panels.means(runs), panels.bars(runs)], keys),
        wr.H3(
            text="Runs and their command",
            collapsed_blocks=[
                wr.MarkdownBlock(text=runs_table(runs)),
                wr.CodeBlock(code=experiment.command, language=None),
            ],
        ),
    ]


def _columns(keys: Sequence[str]) -> list[str]:
    """Pinned columns of the table of runs; W&B adds ``value`` after the first part of a key."""
    return [
        "run:displayName",
        *(f"config:{expr.groupby_str_to_key(f'config.{key}').name}" for key in keys),
    ]
