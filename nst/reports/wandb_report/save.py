"""Saves a report and workspaces to W&B: login, destination, and the ids of saved views."""

from __future__ import annotations

import json
import logging
import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

# When the process ends, a client without a server would wait to send its own error reports.
os.environ.setdefault("WANDB_ERROR_REPORTING", "false")

import wandb
import wandb_workspaces.workspaces as ws

from nst.config.experiment import MAIN
from nst.reports.collect import collect, select
from nst.reports.page import folder_of
from nst.reports.wandb_report import models
from nst.reports.wandb_report.runs import LoggedRun, logged_runs, unsent
from nst.reports.wandb_report.study import logged_trials, workspace
from nst.utils.errors import NstError, listed
from nst.utils.files import read_json, write_whole

if TYPE_CHECKING:
    from nst.sweeps.search.record import StudyRecord

log = logging.getLogger(__name__)

SAVED = "wandb.json"
"""Beside the page: ids of the saved views, so that the next ones replace them."""


def check_login() -> None:
    """Looks for W&B credentials, without a prompt and without a request to the server.

    Raises:
        NstError: if there are none, or W&B is set to offline.
    """
    settings = wandb.setup().settings
    if settings.mode in ("offline", "dryrun", "disabled"):
        problem = f"W&B is set to {settings.mode}, by WANDB_MODE or `wandb {settings.mode}`"
        raise NstError(f"--wandb: {problem}; run `wandb online` or set WANDB_MODE=online")
    settings.x_disable_viewer = settings.silent = True  # we print the addresses
    try:
        found = wandb.login(prompt=False, verify=False)
    except Exception as error:  # a malformed key
        raise NstError(f"--wandb: {_line(error)}") from error
    if not found:
        raise NstError("--wandb: not logged in to W&B; run `wandb login` or set WANDB_API_KEY")


def save(outputs: Path, names: Sequence[str] = (), report: str = MAIN) -> list[str]:
    """Saves the report and a workspace per experiment, and replaces those saved before.

    Args:
        outputs: root folder of the runs.
        names: experiments to show; none: all of the report that have runs.
        report: name of the report; ``ALL``: of all reports.

    Returns:
        Addresses, the report's first.

    Raises:
        NstError: if no run is on the server, or the server refuses or does not answer.
    """
    experiments = select(collect(outputs), names, report)
    runs = [logged for experiment in experiments for logged in logged_runs(experiment)]

    def save_all(saved: dict[str, Any], entity: str, project: str) -> list[str]:
        made = models.report(experiments, entity, project)
        made.id = saved.get("report", "")
        made.save()
        saved["report"] = made.id
        views = {
            each.config.name: models.workspace(each, entity, project)
            for each in experiments
            if logged_runs(each)
        }
        return [made.url, *(_save_view(saved, name, view) for name, view in views.items())]

    return _send(runs, folder_of(outputs, report), save_all)


def save_study(outputs: Path, study: StudyRecord) -> list[str]:
    """Saves a workspace of a study's runs, and replaces the one saved before.

    Args:
        outputs: root folder of the runs.
        study: any.

    Returns:
        Its address.

    Raises:
        NstError: as of ``save``.
    """
    runs = logged_trials(outputs, study)

    def save_one(saved: dict[str, Any], entity: str, project: str) -> list[str]:
        return [_save_view(saved, study.name, workspace(study, runs, entity, project))]

    return _send(runs, outputs / "compare", save_one)


Saver = Callable[[dict[str, Any], str, str], list[str]]
"""Saves views for an entity and a project, and updates the ids of those saved before."""


def _send(runs: Sequence[LoggedRun], folder: Path, saver: Saver) -> list[str]:
    """Saves views of runs that are on the server. Returns their addresses.

    Args:
        runs: that the views show.
        folder: with the ids of the views saved before.
        saver: saves them.
    """
    project, declared = _place(runs)
    _check_sent(runs)
    try:
        api = wandb.Api()
        entity = declared or api.settings["entity"] or api.default_entity  # as wandb.init does
        if not entity:
            raise NstError("--wandb: the W&B account has no default entity; set WANDB_ENTITY=NAME")
        return _save(folder / SAVED, entity, project, saver)
    except NstError:
        raise
    except Exception as error:  # W&B's own types, ValueError, JSON of another kind of server, …
        raise NstError(f"--wandb: {_line(error) or type(error).__name__}") from error


def _place(runs: Sequence[LoggedRun]) -> tuple[str, str | None]:
    """Project and entity of the runs, from their configs."""
    places = {(logged.project, logged.entity): None for logged in runs}
    if not places:
        raise NstError("--wandb: no finished run was logged to W&B; run with logger=wandb")
    if len(places) > 1:
        shown = listed(
            "/".join(part for part in (entity, project) if part) for project, entity in places
        )
        raise NstError(
            f"--wandb: the runs are in several projects ({shown}); name experiments of one project"
        )
    return next(iter(places))


def _check_sent(runs: Sequence[LoggedRun]) -> None:
    """Warns of runs that are missing on the server.

    Raises:
        NstError: if all are, with the command that sends them.
    """
    records = unsent(runs)
    if not records:
        return
    missing = {record.parents[1] for record in records}
    folders = {logged.run.folder for logged in runs}
    plain = [str(record) for record, options in records.items() if not options]
    words = [plain] if plain else []
    words += [[*options, str(record)] for record, options in records.items() if options]
    commands = " && ".join(shlex.join(["wandb", "sync", *each]) for each in words)
    problem = f"{len(missing)} of {len(folders)} runs were recorded offline and not sent to W&B"
    if missing == folders:
        raise NstError(f"--wandb: {problem}; send them first: {commands}")
    log.warning("--wandb: %s; to add them to the report: %s", problem, commands)


def _save(file: Path, entity: str, project: str, saver: Saver) -> list[str]:
    known = read_json(file)
    place = f"{entity}/{project}"
    saved: dict[str, Any] = known.get(place, {})
    again = bool(saved)
    try:
        return saver(saved, entity, project)
    except Exception as error:
        if not again:
            raise
        problem = f"{_line(error)}; if the report or a workspace was deleted there, delete {file}"
        raise NstError(f"--wandb: {problem}") from error
    finally:
        if saved:
            write_whole(file, (json.dumps({**known, place: saved}, indent=1) + "\n").encode())


def _save_view(saved: dict[str, Any], name: str, view: ws.Workspace) -> str:
    """Saves the workspace of an experiment or a study. Returns its address."""
    views = saved.get("workspaces", {})
    view._internal_name, view._internal_id = views.get(name, ("", ""))
    view.save()
    saved["workspaces"] = {**views, name: [view._internal_name, view._internal_id]}
    return str(view.url)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
