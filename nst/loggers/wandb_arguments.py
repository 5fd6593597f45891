"""Checks the arguments of a W&B run before W&B creates a run, a process or a folder.

``wandb.init`` would refuse wrong ones once the run has begun, or the server would after that, and
nothing would be logged. The client's own checks are used where it has them. The other rules are
those of the server.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger
from pydantic import ValidationError
from wandb.sdk import wandb_setup

from nst.utils.errors import ArgumentError, ConfigError
from nst.utils.text import nearest

LONGEST = {"name": 128, "group": 128, "job_type": 64, "id": 128, "entity": 128}
"""Characters at most, by the server's rules. (The client checks projects and tags.)"""

TEXTS = ("project", "entity", "id", "name", "group", "job_type", "notes")
NOT_EMPTY = ("project", "entity", "id")  # but they may be null
ADDRESS = "/\\#?%:"
"""Characters with a meaning in the run's address. (The client checks projects.)"""

FIELDS = {
    "id": "run_id",
    "name": "run_name",
    "notes": "run_notes",
    "tags": "run_tags",
    "group": "run_group",
    "job_type": "run_job_type",
}
"""Fields of ``wandb.Settings`` for arguments of ``wandb.init`` with another name."""

SECRET = "WANDB_API_KEY"


def check_environment() -> None:
    """Checks W&B's environment variables, which it reads whatever the arguments are.

    Raises:
        ConfigError: for the first one that W&B would refuse.
    """
    for name, value in os.environ.items():
        if name.startswith("WANDB_"):
            try:
                wandb.Settings().update_from_env_vars({name: value})
            except Exception as error:
                shown = "…" if name == SECRET else value
                raise ConfigError(name, shown, _reason(error)) from error


def checked(arguments: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Checks and converts the arguments of a W&B run.

    Args:
        arguments: of ``wandb.init`` or of Lightning's logger.
        settings: fields of ``wandb.Settings``.

    Returns:
        The arguments for ``wandb.init``: numbers given for texts as text, and tags as a list.

    Raises:
        ArgumentError: for the first one that W&B would refuse.
        ValueError: if W&B would accept each of them, but not their combination.
    """
    _check_names(arguments)
    found = dict(arguments)
    for name in TEXTS:
        if name in found:
            found[name] = _text(name, found[name])
    if "tags" in found:
        found["tags"] = _tags(found["tags"])
    if found.get("project", "") is None:
        raise ArgumentError("project", None, "must be the name of a project")
    fields = {
        FIELDS.get(name, name): (name, value)
        for name, value in found.items()
        if value is not None and FIELDS.get(name, name) in wandb.Settings.model_fields
    }
    fields |= {name: (f"settings.{name}", value) for name, value in settings.items()}
    for field, (name, value) in fields.items():
        _check_field(field, name, value)
    _check_together({field: value for field, (_, value) in fields.items()})
    return found


def _check_names(arguments: Mapping[str, Any]) -> None:
    known = {*inspect.signature(wandb.init).parameters}
    known |= {*inspect.signature(WandbLogger.__init__).parameters}
    known -= {"self", "kwargs", "anonymous", "offline", "reinit", "experiment"}
    for name, value in arguments.items():
        if name == "offline":
            raise ArgumentError(name, value, "use mode=offline")
        if name not in known:
            problem = f"wandb.init has no such argument{_near(name, known)}"
            raise ArgumentError(name, value, problem)


def _near(name: str, known: Any) -> str:
    near = nearest(name, known)
    return f"; did you mean {near}?" if near else ""


def _text(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str | int | float):
        raise ArgumentError(name, value, "must be text")
    text = str(value)
    if name in NOT_EMPTY and not text.strip():
        raise ArgumentError(name, text, "must not be empty")
    if name != "notes" and not text.isprintable():
        raise ArgumentError(name, text, "must be on one line, without control characters")
    if len(text) > LONGEST.get(name, len(text)):
        problem = f"has {len(text)} characters; at most {LONGEST[name]} are allowed"
        raise ArgumentError(name, text, problem)
    if name in ("id", "entity") and any(each in ADDRESS for each in text):
        raise ArgumentError(name, text, f"must not contain any of {' '.join(ADDRESS)}")
    return text


def _tags(value: Any) -> list[str] | None:
    """A list of tags, from a list or from one text such as ``a,b``, the format of WANDB_TAGS."""
    if value is None:
        return None
    if isinstance(value, str | int | float):
        return str(value).split(",")
    if isinstance(value, Mapping) or not all(isinstance(tag, str | int | float) for tag in value):
        raise ArgumentError("tags", str(value), "must be a list of strings")
    return [str(tag) for tag in value]


def _check_field(field: str, name: str, value: Any) -> None:
    try:
        wandb.Settings(**{field: value})
    except Exception as error:
        if isinstance(error, ValidationError) and error.errors()[0]["type"] == "extra_forbidden":
            problem = f"wandb.Settings has no such field{_near(field, wandb.Settings.model_fields)}"
            raise ArgumentError(name, value, problem) from error
        raise ArgumentError(name, value, _reason(error)) from error


def _check_together(fields: dict[str, Any]) -> None:
    """Checks the fields together, and with those of the environment and of W&B's files."""
    try:
        # not by wandb.setup, which starts a process
        settings = wandb_setup.singleton().settings.model_copy()
        settings.update_from_settings(wandb.Settings(**fields))
    except Exception as error:
        raise ValueError(_reason(error)) from error


def _reason(error: Exception) -> str:
    """The message without pydantic's header and its link to pydantic's documentation."""
    if isinstance(error, ValidationError):
        found = error.errors()[0]
        return str(found["msg"]).removeprefix("Value error, ")
    return " ".join(str(error).split())
