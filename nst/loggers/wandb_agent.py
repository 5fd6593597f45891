"""A run that an agent of a W&B sweep started: which W&B run it is, and what is set already."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def run_id() -> str | None:
    """Id of the W&B run that this process is to fill; None if no agent started it."""
    return os.environ.get("WANDB_RUN_ID") if os.environ.get("WANDB_SWEEP_ID") else None


def wandb_id(group: str | None) -> str | None:
    """Id of the W&B run that the environment names; None if it names none.

    Args:
        group: of a sweep's runs, which cannot share WANDB_RUN_ID; None: a run on its own.
    """
    return run_id() or (os.environ.get("WANDB_RUN_ID") if group is None else None) or None


def sweep() -> str:
    """The group of all that agents of the same W&B sweep run."""
    return f"sweep-{os.environ['WANDB_SWEEP_ID']}"


def parameters() -> set[str]:
    """Config keys that the sweep has set in that W&B run; W&B refuses other values for them."""
    path = os.environ.get("WANDB_SWEEP_PARAM_PATH")
    if run_id() is None or not path:
        return set()
    try:
        return set(yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {})
    except (OSError, yaml.YAMLError):
        return set()


def beside(config: Mapping[str, Any], taken: set[str]) -> dict[str, Any]:
    """The config without the keys that are taken: ``init`` becomes ``init.name`` and so on.

    Args:
        config: nested.
        taken: the keys that a sweep has set, ``init`` to ``noise`` say.
    """
    found: dict[str, Any] = {}
    for key, value in config.items():
        if key not in taken:
            found[key] = value
        elif isinstance(value, dict):
            found |= beside({f"{key}.{part}": each for part, each in value.items()}, taken)
    return found
