"""Runs of the agent of a W&B sweep: id and group of the W&B run, and what the sweep has set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from nst.utils.agent import run_id


def wandb_id(group: str | None) -> str | None:
    """Id of the W&B run that the environment names, or None.

    Args:
        group: of the run; runs of a sweep cannot share WANDB_RUN_ID. None: a single run.
    """
    return run_id() or (os.environ.get("WANDB_RUN_ID") if group is None else None) or None


def sweep() -> str:
    """The group of all runs of the agent's W&B sweep."""
    return f"sweep-{os.environ['WANDB_SWEEP_ID']}"


def parameters() -> set[str]:
    """Config keys that the W&B sweep has set in the W&B run; W&B refuses other values for them."""
    path = os.environ.get("WANDB_SWEEP_PARAM_PATH")
    if run_id() is None or not path:
        return set()
    try:
        return set(yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {})
    except (OSError, yaml.YAMLError):
        return set()


def beside(config: Mapping[str, Any], taken: set[str]) -> dict[str, Any]:
    """The config without keys that are taken: a nested ``init`` becomes ``init.name`` and so on.

    Args:
        config: nested dicts.
        taken: keys that the W&B sweep has set, such as ``init`` (to ``noise``).
    """
    found: dict[str, Any] = {}
    for key, value in config.items():
        if key not in taken:
            found[key] = value
        elif isinstance(value, dict):
            found |= beside({f"{key}.{part}": each for part, each in value.items()}, taken)
    return found
