"""Tags of a run, by which trackers group, filter and colour runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal

from nst.config.experiment import NO_EXPERIMENT
from nst.config.schema import Config
from nst.vgg.architecture import conv_names

LONGEST = 64
"""W&B's limit for a tag, in characters."""


def tags(config: Config) -> list[str]:
    """``key=value`` for the keys that runs are compared by, as far as the task uses them.

    Args:
        config: checked, layer names canonical.

    Returns:
        Distinct tags of 1 to 64 characters; different values never share a tag.
    """
    found = {"task": config.task, "init": config.init.name}
    if config.experiment.name != NO_EXPERIMENT:
        found["experiment"] = config.experiment.name
    for term, used in (("content", config.has_content_loss), ("style", config.uses_style)):
        if used:
            found[f"layers.{term}"] = _counted(getattr(config.layers, term), config.backbone.name)
            found[f"weights.{term}"] = _number(getattr(config.weights, term))
    for term, used in (("content", config.uses_content), ("style", config.uses_style)):
        loss = getattr(config, f"{term}_loss").get("name")
        if used and loss not in (None, "features", "gram"):
            found[f"{term}_loss"] = str(loss)
    if config.matches_colours or config.keeps_colours:
        found["colour"] = config.colour
    for term in ("tv", "spectrum"):
        if value := getattr(config.weights, term):
            found[f"weights.{term}"] = _number(value)
    found |= {"backbone": config.backbone.name, "schedule": config.schedule.name}
    return [tag(key, value) for key, value in found.items()]


def tag(key: str, value: str) -> str:
    """``key=value``, or if it is too long, its beginning and a hash."""
    text = f"{key}={value}"
    if len(text) <= LONGEST:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{text[: LONGEST - 9]}~{digest}"


def _number(value: float) -> str:
    """A number as users write it: ``1``, ``0.05``, ``1e4``, ``2.5e-6``."""
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return repr(float(value)).removesuffix(".0")
    return f"{Decimal(repr(value)).normalize():e}".replace("e+", "e")


def _counted(layers: Sequence[str], backbone: str) -> str:
    """Convolutions by number, as in reports: ``conv 1,2,5,9,13``; other layers by name."""
    names = conv_names(backbone)
    if len(layers) > 1 and all(layer in names for layer in layers):
        return "conv " + ",".join(str(names.index(layer) + 1) for layer in layers)
    return ",".join(layers)
