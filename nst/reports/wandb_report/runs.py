"""The W&B runs of an experiment or a study, and the keys of their config that distinguish them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nst.config import keys
from nst.reports import plots
from nst.reports.collect import Experiment


@dataclass(frozen=True)
class LoggedRun(plots.Line):
    """A completed run that was logged to W&B.

    Attributes:
        id: W&B's name of the run.
        project: of the run.
        entity: whose project it is; None: the default of the account that was logged in.
    """

    id: str
    project: str
    entity: str | None


def logged_runs(experiment: Experiment) -> list[LoggedRun]:
    """The completed runs that were logged to W&B, each once, in the order of the sweep."""
    return logged(plots.lines(experiment))


def logged(lines: Iterable[plots.Line]) -> list[LoggedRun]:
    """Those of the runs that were logged to W&B, each once."""
    found: dict[str, LoggedRun] = {}
    for line in lines:
        config = keys.values(line.run.config)
        identity, project, entity = (
            config.get(f"logger.wandb.{key}") for key in ("id", "project", "entity")
        )
        if identity:
            found.setdefault(
                str(identity),
                LoggedRun(**vars(line), id=str(identity), project=str(project), entity=entity),
            )
    return list(found.values())


def grouping_keys(experiment: Experiment) -> list[str]:
    """Returns keys of the config that make the same groups as the columns (or rows) of the table.

    W&B groups runs by keys of the config, and an override such as ``weights=mild`` is not one. The
    keys are chosen greedily, until they distinguish all groups.
    """
    rows, columns = experiment.axes
    groups = [
        [keys.values(job.completed.config) for job in jobs if job.completed]
        for jobs in experiment.groups(columns or rows).values()
    ]
    groups = [group for group in groups if group]
    firsts = [group[0] for group in groups]
    candidates = [
        key
        for key in (firsts[0] if firsts else {})
        if keys.affects_result(key)
        and all(len({str(config.get(key)) for config in group}) == 1 for group in groups)
    ]

    def distinguished(chosen: Sequence[str]) -> int:
        return len({tuple(str(config.get(key)) for key in chosen) for config in firsts})

    chosen: list[str] = []
    while distinguished(chosen) < len(firsts):
        best = max(candidates, key=lambda key: distinguished([*chosen, key]), default="")
        if distinguished([*chosen, best]) == distinguished(chosen):
            break
        chosen.append(best)
    return chosen


def unsent(runs: Sequence[LoggedRun]) -> dict[Path, list[str]]:
    """Finds what was recorded offline and is not on the server yet.

    Returns:
        For each such folder the options of ``wandb sync`` that send it.
    """
    found: dict[Path, list[str]] = {}
    for logged in runs:
        for record in sorted(logged.run.folder.glob("wandb/offline-run-*/run-*.wandb")):
            if not record.with_name(f"{record.name}.synced").exists():  # W&B's own marker
                same = record.stem == f"run-{logged.id}"  # else it began online, then went offline
                found[record.parent] = [] if same else ["--id", logged.id]
    return found
