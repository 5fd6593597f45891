"""The signature of a run: a hash of the keys that affect its result (``config.schema``)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from nst.config.keys import keys, value_of
from nst.config.schema import Affects, Key
from nst.transfer.run import Run

SIGNATURE_VERSION = 3
"""Raised when the numerics change: older runs are then not taken for new ones."""


def signature(run: Run) -> str:
    """Hash of all that determines the picture, and of nothing else: 10 hex digits.

    Pictures enter by their pixels and weights by their values; see ``facts``. Keys that have no
    effect under the config do not enter.
    """
    text = json.dumps(identity(run), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def identity(run: Run) -> dict[str, Any]:
    """The hashed values by key, or by the fact that replaces the key."""
    found = facts(run)
    identity: dict[str, Any] = {"version": SIGNATURE_VERSION}
    for name, key in keys().items():
        affected = {key.affects, *(part.affects for part in key.parts.values())}
        if Affects.RESULT not in affected or not key.counts(run.config):
            continue
        value = found[key.fact] if key.fact else _plain(_counting(key, value_of(run.config, name)))
        if value != _counting(key, key.neutral):
            identity[key.fact or name] = value
    return identity


def facts(run: Run) -> dict[str, Any]:
    """The facts that replace keys in the signature, by name."""
    config, precision = run.config, run.resolved.precision
    own_size = config.style_size != config.image.size  # which is the default
    fractions = [scale.style for scale in run.scales]
    return {
        "content": run.content and run.content.sha256,
        "style": _styles(run),
        "init": run.init and run.init.sha256,
        "style.size": config.style_size if own_size else None,
        "weights": run.resolved.weights.sha256,
        "precision": [precision, *([run.float32_from] if precision != "32" else [])],
        "scales": [[scale.size, scale.fraction, scale.stop] for scale in run.scales],
        "schedule.style": fractions if set(fractions) != {1.0} else None,
        "trainer": _trainer(config.trainer),
    }


def _styles(run: Run) -> Any:
    """The pixels of the styles, with their shares, or with their masks; in no order."""
    if len(run.styles) < 2 and not any(style.region or style.source for style in run.styles):
        return run.style and run.style.sha256
    if not any(style.region or style.source for style in run.styles):
        return sorted([style.picture.sha256, round(style.share, 12)] for style in run.styles)
    return {
        "regions": sorted(
            [mask.sha256 if mask else "" for mask in (style.picture, style.region, style.source)]
            for style in run.styles
        ),
        "eroded": run.config.guidance.erode,
    }


def _trainer(trainer: dict[str, Any]) -> Any:
    """The arguments that may change the optimisation; None: there are none."""
    foreign = trainer["_target_"] != "lightning.pytorch.Trainer"
    return trainer if foreign else trainer.get("callbacks") or None


def _counting(key: Key, value: Any) -> Any:
    """A value without those of its parts that do not affect the result."""
    if not isinstance(value, dict):
        return value
    affects = {part: key.parts.get(part, key).affects for part in value}
    return {part: each for part, each in value.items() if affects[part] == Affects.RESULT}


def _plain(value: Any) -> Any:
    """Numbers of untyped keys as floats: lr=1 is lr=1.0."""
    if isinstance(value, dict):
        return {key: _float(each) for key, each in value.items()}
    return [_float(each) for each in value] if isinstance(value, list) else value


def _float(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
