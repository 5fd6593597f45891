"""What decides a run's signature: the keys that affect the result, see ``config.schema``."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from nst.config.keys import keys
from nst.config.schema import Affects
from nst.transfer.run import Run

SIGNATURE_VERSION = 3
"""Raised when the numerics change, so that older runs are not taken for new ones."""


def signature(run: Run) -> str:
    """Hash of all that determines the picture, and of nothing else: 10 hex digits.

    Pictures count by their pixels and weights by their values; see ``facts``. What the task does
    not use does not count.
    """
    text = json.dumps(identity(run), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def identity(run: Run) -> dict[str, Any]:
    """What ``signature`` is the hash of: values by key, or by the fact that stands for the key."""
    found = facts(run)
    identity: dict[str, Any] = {"version": SIGNATURE_VERSION}
    for name, key in keys().items():
        if Affects.RESULT not in (key.affects, *key.parts.values()) or not key.counts(run.config):
            continue
        value = found[key.fact] if key.fact else _plain(_value(run.config, name))
        if value != key.neutral:
            identity[key.fact or name] = value
    return identity


def facts(run: Run) -> dict[str, Any]:
    """What keys come to, by the name of the fact that stands for them in the signature."""
    config, precision = run.config, run.resolved.precision
    own_size = config.style.size not in (None, config.image.size)  # said or not, the same picture
    fractions = [scale.style for scale in run.scales]
    return {
        "content": run.content and run.content.sha256,
        "style": run.style and run.style.sha256,
        "init": run.init and run.init.sha256,
        "style.size": config.style.size if own_size else None,
        "weights": run.resolved.weights.sha256,
        "precision": [precision, *([run.precise_from] if precision != "32" else [])],
        "scales": [[scale.size, scale.fraction, scale.stop] for scale in run.scales],
        "schedule.style": fractions if set(fractions) != {1.0} else None,
        "trainer": _trainer(config.trainer),
    }


def _trainer(trainer: dict[str, Any]) -> Any:
    """What may change the optimisation in any way; None if nothing does."""
    foreign = trainer["_target_"] != "lightning.pytorch.Trainer"
    return trainer if foreign else trainer.get("callbacks") or None


def _value(config: Any, name: str) -> Any:
    for part in name.split("."):
        config = getattr(config, part)
    return config


def _plain(value: Any) -> Any:
    """lr=1 is lr=1.0, where the schema does not say of which type a number is."""
    if isinstance(value, dict):
        return {key: _float(each) for key, each in value.items()}
    return [_float(each) for each in value] if isinstance(value, list) else value


def _float(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
