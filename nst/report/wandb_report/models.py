"""A W&B report of experiments, and a workspace of each, as models that nothing has sent yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces import expr

from nst.report import claims, page
from nst.report.collect import Experiment
from nst.report.wandb_report import panels
from nst.report.wandb_report.runs import Tracked, config_keys, tracked
from nst.report.wandb_report.text import claims_table, runs_table

TITLE = "Neural style transfer experiments"


def report(experiments: Sequence[Experiment], entity: str, project: str) -> wr.Report:
    """The report of these experiments, a heading each.

    Args:
        experiments: in the order of the page; those without a run in W&B are left out.
        entity: whose project it is.
        project: that the runs are in.
    """
    shown = [(experiment, tracked(experiment)) for experiment in experiments]
    blocks: list[Any] = [wr.TableOfContents()]
    for experiment, found in shown:
        if found:
            blocks += _section(experiment, found, entity, project)
    return wr.Report(
        entity=entity,
        project=project,
        title=TITLE,
        description=page.counts(experiments),
        blocks=blocks,
        width="fluid",
    )


def workspace(experiment: Experiment, entity: str, project: str) -> ws.Workspace:
    """A view of the project that shows one experiment's runs, and nothing else.

    Args:
        experiment: with at least one run in W&B.
        entity: whose project it is.
        project: that the runs are in.
    """
    found, keys = tracked(experiment), config_keys(experiment)
    parts = [
        panels.media(experiment, found),
        panels.curves(found),
        panels.means(found, keys),
        panels.bars(found, keys[0] if len(keys) == 1 else ""),
        panels.trade_offs(experiment),
        panels.differences(),
    ]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"nst: {experiment.config.name}",  # letters and digits; the library refuses emojis
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
        settings=ws.WorkspaceSettings(max_runs=len(found)),
        runset_settings=ws.RunsetSettings(
            filters=only(found),
            order=[expr.Ordering(expr.Metric("CreatedTimestamp"), ascending=True)],
            run_settings={run.id: ws.RunSettings(color=panels.colour(run)) for run in found},
            pinned_columns=_columns(keys),
        ),
    )


def only(found: Sequence[Tracked]) -> str:
    """The filter that lets these runs through and no other.

    By their ids: a run that two experiments share has the tags, the group and the experiment's name
    of the one that computed it.
    """
    # the library edits these signs before it parses the text, even inside of strings
    ids = repr([run.id for run in found])
    for sign in "=<>":
        ids = ids.replace(sign, f"\\x{ord(sign):02x}")
    return f'Metric("ID") in {ids}'


def _section(
    experiment: Experiment, found: Sequence[Tracked], entity: str, project: str
) -> list[Any]:
    config, keys = experiment.config, config_keys(experiment)
    findings = claims.test(experiment)

    def runset(groupby: Sequence[str] = ()) -> wr.Runset:
        return wr.Runset(
            entity=entity,
            project=project,
            name=config.name,
            filters=only(found),
            groupby=[f"config.{key}" for key in groupby],
            order=[wr.OrderBy("CreatedTimestamp", ascending=True)],
            run_settings={run.id: wr.RunSettings(color=panels.colour(run)) for run in found},
            pinned_columns=_columns(keys),
        )

    single = [
        panels.media(experiment, found),
        panels.curves(found),
        panels.trade_offs(experiment),
        panels.differences(),
    ]
    grouped = [panels.means(found), panels.bars(found)]
    blocks: list[Any] = [
        wr.H2(text=f"{config.section} {config.title}".strip() or config.name),
        wr.P(text=f"{config.about} {page.counts([experiment])}.".strip()),
        *(wr.P(text=note) for note in config.notes),
    ]
    if findings:
        blocks.append(wr.MarkdownBlock(text=claims_table(experiment, findings)))
    return [
        *blocks,
        wr.PanelGrid(runsets=[runset()], panels=panels.sized(single)),
        wr.PanelGrid(runsets=[runset(keys)], panels=panels.sized(grouped)),
        wr.H3(
            text="Runs, and the command that makes them",
            collapsed_blocks=[
                wr.MarkdownBlock(text=runs_table(found)),
                wr.CodeBlock(code=experiment.command, language=None),
            ],
        ),
    ]


def _columns(keys: Sequence[str]) -> list[str]:
    """Of the table of runs: what varies, with W&B's ``value`` after the first part of the key."""
    return [
        "run:displayName",
        *(f"config:{expr.groupby_str_to_key(f'config.{key}').name}" for key in keys),
    ]
