"""Checks of a composed config that need neither pictures nor weights.

``config.schema`` declares the range of each key; this module checks what depends on several keys.
"""

from __future__ import annotations

import math
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from nst.config import experiment, objective
from nst.config.keys import keys, value_of
from nst.config.schema import LAYER_RULES, Config, Key, StyleConfig
from nst.utils.errors import ConfigError, listed
from nst.utils.text import nearest
from nst.vgg import architecture


def check(config: Config) -> None:
    """Checks a whole config.

    Raises:
        ConfigError: for the first wrong value found.
    """
    _finite(config)
    for name, key in keys().items():
        _check_value(name, key, value_of(config, name))
    check_outputs(config.outputs)
    if config.pairs is not None:
        problem = "each row is a job of a sweep: nst -m, with hydra/sweeper=pairs (the default)"
        raise ConfigError("pairs", config.pairs, problem)
    _check_pictures(config)
    _check_source(config.backbone.source)
    _check_losses(config)
    _check_layers(config)
    _check_weights(config)
    _check_init(config)
    _check_schedule(config)
    _check_tiles(config)
    objective.check(config)
    experiment.check(config.experiment)


def check_outputs(path: str, key: str = "outputs") -> None:
    """Checks that a path can be a folder of this machine.

    Raises:
        ConfigError: names ``key``.
    """
    if not path.isprintable() or not path:
        raise ConfigError(key, path, "must be the path of a folder, on one line")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", path) and not Path(path).drive:
        problem = "must be a folder of this machine or a mounted disk; addresses are not supported"
        raise ConfigError(key, path, problem)
    try:
        Path(path).expanduser()
    except RuntimeError as error:  # ~ and a user that does not exist
        raise ConfigError(key, path, f"no such folder ({error})") from error


def _check_value(name: str, key: Key, value: Any) -> None:
    """Compares a value with what the schema declares of its key."""
    if key.one_of is not None and value not in key.one_of:
        allowed = ["null" if each is None else each for each in key.one_of]
        near = nearest(value, allowed)
        hint = f"; did you mean {near}?" if near else ""
        raise ConfigError(name, value, f"allowed: {listed(allowed)}{hint}")
    if key.valid is not None and value is not None:
        test, problem = key.valid
        if not test(value):
            raise ConfigError(name, value, problem)


def _finite(node: Any, prefix: str = "") -> None:
    """Refuses NaN and infinity anywhere in the config."""
    if is_dataclass(node):
        node = {item.name: getattr(node, item.name) for item in fields(node)}
    if isinstance(node, dict):
        for key, value in node.items():
            _finite(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(node, list):
        for value in node:
            _finite(value, prefix)
    elif isinstance(node, float) and not math.isfinite(node):
        raise ConfigError(prefix, node, "must be a finite number")


def _check_pictures(config: Config) -> None:
    content = config.content
    if config.uses_style:
        _check_styles(config)
    if not config.uses_content:
        return
    if content.source is None and not content.path:
        problem = f"task={config.task} needs a picture file or builtin:NAME, or content=blend"
        raise ConfigError("content.path", content.path, problem)
    if content.source is None:
        return
    if content.path is not None:
        problem = "content.path is set as well; a content is one picture or a blend: content=blend"
        raise ConfigError("content.source", content.source, problem)
    for name in ("target", "mask"):
        if getattr(content, name) is None:
            raise ConfigError(f"content.{name}", None, "content=blend needs a picture here")
    _numbers("content.position", content.position)
    if len(content.position) != 2 or max(map(abs, content.position)) > 10:
        problem = "needs two numbers, x and y of the source's centre as fractions of the target"
        raise ConfigError("content.position", content.position, problem)


def _check_styles(config: Config) -> None:
    style = config.style
    paths = style.path if isinstance(style.path, list) else [style.path]
    if not any(paths):
        problem = f"task={config.task} needs a picture file or builtin:NAME, or a list of them"
        raise ConfigError("style.path", style.path, problem)
    if not all(isinstance(each, str | None) for each in paths):
        raise ConfigError("style.path", style.path, "must be a picture, or a list of pictures")
    if style.size is not None and style.scale is not None:
        problem = "style.size is set as well; the size of the style is one of the two"
        raise ConfigError("style.scale", style.scale, problem)
    if config.guided:
        _check_regions(config)
    elif None in paths:
        problem = "null is for a region without style; it needs guidance=masks"
        raise ConfigError("style.path", style.path, problem)
    else:
        _check_mix(style, len(paths))


def _check_regions(config: Config) -> None:
    for key, value in (("weights", config.style.weights), ("mix", config.style.mix)):
        if value is not None:
            problem = "styles of regions are not mixed; set it to null, or guidance=none"
            raise ConfigError(f"style.{key}", value, problem)
    if config.weights.spectrum:
        problem = "the spectrum is that of a whole picture; with guidance=masks it must be 0"
        raise ConfigError("weights.spectrum", config.weights.spectrum, problem)


def _check_mix(style: StyleConfig, count: int) -> None:
    if style.mix is not None and count != 2:
        problem = f"is the share of the second of two styles; style.path has {count}"
        raise ConfigError("style.mix", style.mix, problem)
    if style.weights is None:
        return
    if style.mix is not None:
        raise ConfigError("style.mix", style.mix, "style.weights is set as well; use one of them")
    _numbers("style.weights", style.weights)
    if len(style.weights) != count:
        problem = f"needs {count} numbers, one for each picture of style.path"
        raise ConfigError("style.weights", style.weights, problem)
    if min(style.weights) < 0 or max(style.weights) == 0:
        raise ConfigError("style.weights", style.weights, "must be 0 or more, and one above 0")


def _check_source(source: str) -> None:
    if source not in architecture.SOURCES:
        allowed = f"allowed: {listed(architecture.SOURCES)}; {architecture.OFFLINE}"
        raise ConfigError("backbone.source", source, allowed)


def _check_losses(config: Config) -> None:
    for key in ("content_loss", "style_loss"):
        node = getattr(config, key)
        if not isinstance(node, dict) or "_target_" not in node:
            raise ConfigError(key, node, f"needs a _target_, as the files of conf/{key}/ have")


def _check_layers(config: Config) -> None:
    for name in ("content", "style"):
        key = f"layers.{name}"
        used = config.has_content_loss if name == "content" else config.uses_style
        names = getattr(config.layers, name)
        if used and not names:
            raise ConfigError(key, names, f"task={config.task} needs at least one layer")
        if not all(isinstance(layer, str) for layer in names):
            raise ConfigError(key, names, "must be a list of names")
        try:
            canonical = [architecture.canonical(layer, config.backbone.name) for layer in names]
        except ValueError as error:
            raise ConfigError(key, names, str(error)) from error
        if len(set(canonical)) < len(canonical):
            raise ConfigError(key, names, "names a layer twice")


def _check_weights(config: Config) -> None:
    terms = {"content": config.has_content_loss, "style": config.uses_style}
    if not any(used and getattr(config.weights, name) > 0 for name, used in terms.items()):
        keys = " or ".join(f"weights.{name}" for name, used in terms.items() if used)
        problem = f"leaves nothing to optimise; set {keys} above 0"
        raise ConfigError("task", config.task, problem)
    for name in ("content", "style"):
        key, rule = f"layer_weights.{name}", getattr(config.layer_weights, name)
        names = getattr(config.layers, name)
        if rule in LAYER_RULES:
            continue
        numbers = isinstance(rule, list) and all(
            isinstance(value, int | float) and not isinstance(value, bool) for value in rule
        )
        if not numbers:
            allowed = f"allowed: {listed(LAYER_RULES)}, or a list of numbers, one per layer"
            raise ConfigError(key, rule, allowed)
        if len(rule) != len(names):
            raise ConfigError(key, rule, f"needs {len(names)} numbers, one for each of {names}")
        if min(rule) < 0 or max(rule) == 0:
            raise ConfigError(key, rule, "must be 0 or more, and one of them above 0")


def _check_init(config: Config) -> None:
    init = config.init
    if init.name == "file" and init.path is None:
        raise ConfigError("init.path", None, "init=file needs the picture to start from")
    missing = (init.name in ("content", "blend") and not config.uses_content) or (
        init.name == "style" and not config.uses_style
    )
    if missing:
        allowed = ["noise", "content", "blend"] if config.uses_content else ["noise"]
        allowed += ["style", "file"] if config.uses_style else ["file"]
        problem = f"task={config.task} has no such picture; allowed: {listed(allowed)}"
        raise ConfigError("init", init.name, problem)


def _check_tiles(config: Config) -> None:
    size, step = config.image.size, config.side_step
    if size % step:
        below = size // step * step
        near = [str(each) for each in (below, below + step) if each]
        problem = f"backbone.padding={config.backbone.padding} needs a multiple of {step}, such as"
        text = f"{problem} {' or '.join(near)}: the stride of the deepest layer"
        raise ConfigError("image.size", size, text)


def _numbers(key: str, values: list[float]) -> None:
    """Refuses nested lists, which the schema lets through."""
    if any(isinstance(value, list) for value in values):
        raise ConfigError(key, values, "must be a list of numbers")


def _check_schedule(config: Config) -> None:
    schedule = config.schedule
    for name in ("sizes", "steps"):
        value = getattr(schedule, name)
        if value is None and schedule.coarsest is None:
            problem = "needs a number for each scale, or null with schedule.coarsest"
            raise ConfigError(f"schedule.{name}", value, problem)
        if value is not None and schedule.coarsest is not None:
            problem = (
                f"must be null, since scales follow from schedule.coarsest={schedule.coarsest}"
            )
            remedy = "to list them, add schedule.coarsest=null; else use schedule=octaves"
            raise ConfigError(f"schedule.{name}", value, f"{problem}; {remedy}")
        _numbers(f"schedule.{name}", value or [])
    run = config.image.size, config.steps
    sizes, shares = schedule.fractions(*run), schedule.shares(*run)
    if not sizes or sizes[-1] != 1 or sizes != sorted(set(sizes)) or sizes[0] <= 0:
        problem = "must rise from above 0 to 1 (fractions of image.size, coarse to fine)"
        raise ConfigError("schedule.sizes", sizes, problem)
    if len(shares) != len(sizes) or min(shares) <= 0:
        problem = f"needs {len(sizes)} numbers above 0, the share of each size in all steps"
        raise ConfigError("schedule.steps", shares, problem)
    style = schedule.style
    if style is not None:
        _numbers("schedule.style", style)
        if len(style) != len(sizes) or style[-1] != 1 or min(style) < 0:
            problem = f"needs {len(sizes)} numbers of at least 0, the last one 1 (fractions of "
            raise ConfigError("schedule.style", style, f"{problem}weights.style at each size)")
    if config.steps < len(sizes):
        problem = f"schedule={schedule.name} needs at least one step at each of its scales"
        raise ConfigError("steps", config.steps, f"{problem} ({len(sizes)})")
