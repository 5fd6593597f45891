"""Saves a report and workspaces in W&B: who may, where to, and what it remembers of it."""

from __future__ import annotations

import json
import logging
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# A client that reaches no server would wait for its own error reports when the process ends.
os.environ.setdefault("WANDB_ERROR_REPORTING", "false")

import wandb

from nst.report.collect import Experiment, collect
from nst.report.wandb_report import models
from nst.report.wandb_report.runs import Tracked, tracked, unsent
from nst.runs.record import read_json
from nst.utils.errors import NstError, listed
from nst.utils.files import write_whole

log = logging.getLogger(__name__)

MEMORY = "wandb.json"
"""Beside the page: what was saved before, so that it is saved again and not beside it."""


def check_login() -> None:
    """Looks for credentials of W&B; asks neither the user nor a server.

    Raises:
        NstError: if there are none, or W&B is to stay offline.
    """
    settings = wandb.setup().settings
    if settings.mode in ("offline", "dryrun", "disabled"):
        told = f"W&B is set to {settings.mode}, by WANDB_MODE or `wandb {settings.mode}`"
        raise NstError(f"--wandb: {told}; `wandb online` or WANDB_MODE=online changes that")
    settings.x_disable_viewer = settings.silent = True  # we print where it is
    try:
        found = wandb.login(prompt=False, verify=False)
    except Exception as error:  # a key that cannot be one
        raise NstError(f"--wandb: {' '.join(str(error).split())}") from error
    if not found:
        raise NstError("--wandb: not logged in to W&B; `wandb login` does it, or WANDB_API_KEY")


def save(outputs: Path, names: Sequence[str] = ()) -> list[str]:
    """Saves the report and a workspace per experiment; what was saved before is replaced.

    Args:
        outputs: root folder of the runs.
        names: experiments to show; none: all of which there are runs.

    Returns:
        Addresses, the report's first.

    Raises:
        NstError: if no run can be on the server, or it refuses, or there is no server.
    """
    experiments = [found for name, found in collect(outputs).items() if not names or name in names]
    runs = [run for experiment in experiments for run in tracked(experiment)]
    project, declared = _place(runs)
    _check_sent(runs)
    try:
        api = wandb.Api()
        entity = declared or api.settings["entity"] or api.default_entity  # as wandb.init does
        if not entity:
            raise NstError("--wandb: W&B names no default entity; WANDB_ENTITY=NAME says whose")
        return _save(outputs, experiments, entity, project)
    except NstError:
        raise
    except Exception as error:  # W&B's own types, ValueError, the JSON of an unlike server …
        told = " ".join(str(error).split()) or type(error).__name__
        raise NstError(f"--wandb: {told}") from error


def _place(runs: Sequence[Tracked]) -> tuple[str, str | None]:
    """Project and entity of the runs' own configs."""
    places = {(run.project, run.entity): None for run in runs}
    if not places:
        raise NstError("--wandb: no finished run was tracked by W&B; logger=wandb does it")
    if len(places) > 1:
        shown = listed(
            "/".join(part for part in (entity, project) if part) for project, entity in places
        )
        raise NstError(
            f"--wandb: the runs are in several projects ({shown}); name experiments of one"
        )
    return next(iter(places))


def _check_sent(runs: Sequence[Tracked]) -> None:
    """The report shows what the server has: says what it cannot have yet."""
    records = unsent(runs)
    if not records:
        return
    missing = {record.parents[1] for record in records}
    folders = {run.result.folder for run in runs}
    plain = [str(record) for record, arguments in records.items() if not arguments]
    words = [plain] if plain else []
    words += [[*arguments, str(record)] for record, arguments in records.items() if arguments]
    commands = " && ".join(shlex.join(["wandb", "sync", *each]) for each in words)
    told = f"{len(missing)} of {len(folders)} runs were recorded offline and are not on the server"
    if missing == folders:
        raise NstError(f"--wandb: {told}; send them first: {commands}")
    log.warning("--wandb: %s; they will show once they are sent: %s", told, commands)


def _save(outputs: Path, experiments: Sequence[Experiment], entity: str, project: str) -> list[str]:
    memory = outputs / "report" / MEMORY
    known = read_json(memory)
    place = f"{entity}/{project}"
    saved: dict[str, Any] = known.get(place, {})
    again = bool(saved)
    try:
        report = models.report(experiments, entity, project)
        report.id = saved.get("report", "")
        report.save()
        saved["report"] = report.id
        addresses = [report.url]
        views = saved.setdefault("workspaces", {})
        for experiment in experiments:
            if tracked(experiment):
                view = models.workspace(experiment, entity, project)
                name = experiment.config.name
                view._internal_name, view._internal_id = views.get(name, ("", ""))
                view.save()
                views[name] = [view._internal_name, view._internal_id]
                addresses.append(view.url)
    except Exception as error:
        if not again:
            raise
        told = " ".join(str(error).split())
        raise NstError(f"--wandb: {told}; if it was deleted there, delete {memory}") from error
    finally:
        if saved:
            write_whole(memory, (json.dumps({**known, place: saved}, indent=1) + "\n").encode())
    return addresses
