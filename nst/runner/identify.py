"""Assigns a run its signature and its folder."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nst.loggers import wandb_agent
from nst.runner.folder import claim, place
from nst.runner.record import COMPLETED, DIVERGED, FAILED, finished, read_facts, read_status
from nst.runner.signature import signature
from nst.runner.tags import tags
from nst.transfer.run import Run


def identify(run: Run, group: str | None = None) -> Run:
    """The run with its signature, folder, name and tags in ``config.run``; makes no folder.

    Args:
        run: any.
        group: in which loggers put it: the name of its sweep.
    """
    return _identified(run, signature(run), group, place)


def claimed(run: Run) -> Run:
    """An identified run with its folder made.

    Its folder and W&B id may change: another process, or a job of the same batch with another name
    for a picture, may have made a folder for this signature meanwhile.
    """
    found = run.config.run
    assert found.signature is not None
    return _identified(run, found.signature, found.group, claim)


def _identified(run: Run, signature: str, group: str | None, find: Callable[..., Path]) -> Run:
    config = run.config
    folder = find(Path(config.outputs) / "runs", run.label(), signature, config.force)
    found = replace(
        config.run,
        signature=signature,
        folder=str(folder),
        name=folder.name,
        group=group,
        tags=tags(config),
        # an unfinished attempt's, so that its W&B run is resumed
        wandb_id=wandb_agent.wandb_id(group)
        or read_facts(folder).get("wandb_id")
        or config.run.wandb_id
        or secrets.token_hex(4),
    )
    return replace(run, config=replace(config, run=found))


def folder_of(run: Run) -> Path:
    """The folder of an identified run."""
    assert run.config.run.folder is not None
    return Path(run.config.run.folder)


def is_finished(run: Run) -> bool:
    """Whether the folder of an identified run holds its result."""
    return finished(folder_of(run))


def is_skipped(run: Run) -> bool:
    """Whether ``retry=failed`` skips a run: it neither failed nor is finished."""
    retried = (COMPLETED, FAILED, DIVERGED)
    return run.config.retry == "failed" and read_status(folder_of(run)) not in retried
