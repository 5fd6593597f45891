"""Which W&B runs an experiment has, and by which keys of their config they are told apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst.config.keys import affects_result
from nst.report.collect import Experiment, Job
from nst.report.table import axes, label
from nst.runs.record import RunRecord


@dataclass(frozen=True)
class Tracked:
    """A finished run that a W&B logger was told of.

    Attributes:
        id: W&B's name of the run.
        project: where it was logged to.
        entity: whose project it is; None: the default of who was logged in.
        caption: what makes it different, for legends.
        colour: number of its column in the table.
        dash: number of its row.
        result: the run.
    """

    id: str
    project: str
    entity: str | None
    caption: str
    colour: int
    dash: int
    result: RunRecord


def tracked(experiment: Experiment) -> list[Tracked]:
    """Its finished runs that W&B knows of, each once, in the order of the sweep."""
    rows, columns = axes(experiment)
    colours: dict[str, int] = {}
    dashes: dict[str, int] = {}
    found: dict[str, Tracked] = {}
    for job in experiment.jobs:
        settings = _settings(job.completed)
        if job.completed is None or not settings.get("id"):
            continue
        named = caption(experiment, job, experiment.varying)
        colour = caption(experiment, job, columns or rows)
        dash = caption(experiment, job, rows if columns else [])
        identity = str(settings["id"])
        found.setdefault(
            identity,
            Tracked(
                identity,
                str(settings.get("project")),
                settings.get("entity"),
                named or job.completed.folder.name,
                colours.setdefault(colour, len(colours)),
                dashes.setdefault(dash, len(dashes)),
                job.completed,
            ),
        )
    return list(found.values())


def _settings(result: RunRecord | None) -> dict[str, Any]:
    """What the run's config says of the W&B logger; empty if it had none."""
    node: Any = result.config if result else {}
    for key in ("logger", "wandb"):
        node = node.get(key) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else {}


def caption(experiment: Experiment, job: Job, keys: Sequence[str]) -> str:
    """``style 1e4, content 1 · seed 0``."""
    shown = ((key, label(experiment, key, job.values[key])) for key in keys if key in job.values)
    return " · ".join(f"{key} {text}" if text.isdigit() else text for key, text in shown)


def config_keys(experiment: Experiment) -> list[str]:
    """Keys of the config that make the same groups as the columns of the table (or its rows).

    W&B can group by keys of the config only, and an override such as ``weights=mild`` is none:
    found are as few keys as tell its values apart.
    """
    rows, columns = axes(experiment)
    groups: dict[str, list[dict[str, Any]]] = {}
    for job in experiment.jobs:
        if job.completed:
            group = groups.setdefault(caption(experiment, job, columns or rows), [])
            group.append(dict(_leaves(job.completed.config)))
    firsts = [configs[0] for configs in groups.values()]
    shared = [
        key
        for key in (firsts[0] if firsts else {})
        if affects_result(key)
        and all(len({str(config.get(key)) for config in group}) == 1 for group in groups.values())
    ]

    def told_apart(keys: Sequence[str]) -> int:
        return len({tuple(str(config.get(key)) for key in keys) for config in firsts})

    chosen: list[str] = []
    while told_apart(chosen) < len(firsts):
        best = max(shared, key=lambda key: told_apart([*chosen, key]), default="")
        if told_apart([*chosen, best]) == told_apart(chosen):
            break
        chosen.append(best)
    return chosen


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node


def snapshots(found: Sequence[Tracked]) -> int:
    """How many intermediate images the run with the most of them has."""
    return max((len(run.result.snapshots) for run in found), default=0)


def pictures(found: Sequence[Tracked], names: Sequence[str]) -> list[str]:
    """Of these inputs, those that a run has."""
    return [name for name in names if any(run.result.picture(name) for run in found)]


def unsent(found: Sequence[Tracked]) -> dict[Path, list[str]]:
    """Records that were made offline and are not on the server, with what sends them.

    Returns:
        For each such folder the arguments of ``wandb sync``.
    """
    records = {}
    for run in found:
        for record in sorted(run.result.folder.glob("wandb/offline-run-*/run-*.wandb")):
            if not record.with_name(f"{record.name}.synced").exists():  # W&B's own marker
                same = record.stem == f"run-{run.id}"  # else it began online, and went offline
                records[record.parent] = [] if same else ["--id", run.id]
    return records
