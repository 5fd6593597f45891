"""One run: its config, its pictures, its identity."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from nst import images
from nst.config.experiment import Member
from nst.config.schema import Config
from nst.images import poisson
from nst.images.decode import MAX_PIXELS
from nst.images.picture import Picture
from nst.transfer import schedule
from nst.transfer.schedule import Scale
from nst.utils.errors import ConfigError
from nst.vgg import architecture
from nst.vgg.weights import Weights

SIGNATURE_VERSION = 2
"""Raised when the numerics change, so that older runs are not taken for new ones."""


LARGEST_BLEND = 2048
"""Shorter side at which a blend is solved at most, px: beyond, it takes minutes and gigabytes."""


@dataclass(frozen=True)
class Run:
    """One optimisation of one image: a checked config with the pictures it needs.

    Attributes:
        config: checked, layer names canonical.
        content: None if the task has no content loss.
        style: None if the task has no style loss.
        init: the picture of ``init=file``, else None.
        member: its place in an experiment, if it has one.
    """

    config: Config
    content: Picture | None
    style: Picture | None
    init: Picture | None
    member: Member | None = None

    def shape(self, scale: Scale) -> tuple[int, int]:
        """(height, width) of the image at a scale: the aspect of the content, or else the style."""
        canvas = self.content or self.style
        assert canvas is not None  # every task has one of them
        return images.fit(canvas.image.size, scale.size)

    @property
    def taps(self) -> set[str]:
        """Layers that its losses need."""
        config = self.config
        content = config.layers.content if config.uses_content else []
        style = config.layers.style if config.uses_style else []
        return {*content, *style}

    @cached_property
    def scales(self) -> list[Scale]:
        """Its schedule."""
        return schedule.scales(self.config)

    @cached_property
    def precise_from(self) -> int:
        """First step that is in float32 whatever the precision."""
        return schedule.precise_from(self.config)

    def label(self) -> str:
        """Task, pictures and init, safe as a folder's name."""
        config = self.config
        names = [picture.name for picture in (self.content, self.style) if picture]
        parts = [config.task, *names, config.init.name]
        return "-".join(re.sub(r"[^A-Za-z0-9_]+", "_", part)[:32].strip("_") for part in parts)


def prepare(config: Config, member: Member | None = None) -> Run:
    """Loads the pictures of a checked config, and checks what depends on them.

    Raises:
        ConfigError: if a picture cannot be used.
    """
    content = _content(config) if config.uses_content else None
    style = images.load(config.style.path, "style.path") if config.uses_style else None
    start = config.init.path if config.init.name == "file" else None
    init = None if start is None else images.load(start, "init.path")
    run = Run(config, content, style, init, member)
    _check_sizes(run)
    return run


def _content(config: Config) -> Picture:
    """The content picture: a file, or two pictures blended at the size of the result."""
    content = config.content
    if content.path is not None:
        return images.load(content.path, "content.path")
    assert content.source is not None and content.target is not None and content.mask is not None
    source = images.load_cut_out(content.source, "content.source")
    target = images.load(content.target, "content.target")
    drawn = {
        f"{images.BUILTIN}{draw.__name__}": draw for draw in (poisson.ellipse, poisson.rectangle)
    }
    if content.mask in drawn:
        mask = drawn[content.mask](source.image.size)
    else:
        mask = images.load_mask(content.mask, "content.mask")
    x, y = content.position
    try:
        blended = poisson.poisson(
            source.image,
            target.image,
            mask,
            (x, y),
            content.scale,
            mixed=content.gradients == "mixed",
            shorter=min(config.image.size, LARGEST_BLEND),
        )
    except ValueError as error:
        raise ConfigError("content.mask", content.mask, str(error)) from error
    parts = {name: getattr(blended, name) for name in ("source", "mask", "target", "paste")}
    return Picture(f"{source.name}_in_{target.name}", blended.result, parts)


def _check_sizes(run: Run) -> None:
    """Every picture must have a feature at the deepest layer that it is used for, at all scales."""
    config = run.config
    coarsest = run.scales[0].fraction
    style_size = config.style.size or config.image.size
    for key, seen, size in (
        ("image.size", run.content or run.style, config.image.size),
        ("style.size" if config.style.size else "image.size", run.style, style_size),
    ):
        height, width = images.fit(seen.image.size, size) if seen else (0, 0)
        if height * width > MAX_PIXELS:
            problem = f"makes {width}x{height} px of {seen and seen.name}"
            raise ConfigError(key, size, f"{problem}; at most {MAX_PIXELS:,} in all")
    for term, picture, size_key, size in (
        ("content", run.content, "image.size", config.image.size),
        ("style", run.style, "style.size" if config.style.size else "image.size", style_size),
    ):
        if picture is None:
            continue
        deepest = max(getattr(config.layers, term), key=architecture.stride)
        least = architecture.stride(deepest)
        needs = f"too small for {deepest}, which needs at least {least} px"
        if min(picture.image.size) < least:
            width, height = picture.image.size
            path = getattr(config, term).path
            raise ConfigError(f"{term}.path", path, f"has {width}x{height} px, {needs}")
        # The image takes its size from image.size, and the style's layers see it as well.
        for key, pixels in ((size_key, size), ("image.size", config.image.size)):
            if pixels < least:
                raise ConfigError(key, pixels, needs)
            if round(pixels * coarsest) < least:
                problem = f"{key}={pixels} is {round(pixels * coarsest)} px at the coarsest scale"
                raise ConfigError("schedule.sizes", config.schedule.sizes, f"{problem}, {needs}")


def resolve_precision(precision: str, device: torch.device) -> str:
    """``32`` or ``bf16``; ``auto`` takes bfloat16 where the hardware multiplies it natively."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    if device.type == "cpu":
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return "bf16" if native else "32"
    return "32"


def signature(run: Run, weights: Weights, precision: str) -> str:
    """Hash of all that determines the picture, and of nothing else: 10 hex digits.

    Pictures count by their pixels and weights by their values. What the task does not use does not
    count. ``precision`` is the resolved one.
    """
    config = run.config
    init: dict[str, Any] = {"name": config.init.name}
    if config.init.name in ("noise", "blend"):
        init |= {"kind": config.init.kind, "seed": config.seed}
        if config.init.kind == "gaussian":
            init |= {"mean": config.init.mean, "std": config.init.std}
    if config.init.name == "blend":
        init["noise"] = config.init.noise
    if run.init is not None:
        init["picture"] = run.init.sha256
    identity: dict[str, Any] = {
        "version": SIGNATURE_VERSION,
        "task": config.task,
        "size": config.image.size,
        "init": init,
        "steps": config.steps,
        "scales": [(scale.size, scale.fraction, scale.stop) for scale in run.scales],
        "optimizer": {
            key: float(value) if isinstance(value, int) else value  # lr=1 is lr=1.0
            for key, value in config.optimizer.items()
        },
        "precision": [precision, *([run.precise_from] if precision != "32" else [])],
        "normalize": [config.normalize.activations, config.normalize.layers],
        "backbone": [
            config.backbone.name,
            weights.sha256,
            config.backbone.pooling,
            config.backbone.padding,
        ],
        "tv": config.weights.tv,
    }
    for term, picture in (("content", run.content), ("style", run.style)):
        if picture is not None:
            rule = getattr(config.layer_weights, term)
            identity[term] = {
                "picture": picture.sha256,
                "layers": getattr(config.layers, term),
                "layer_weights": rule if isinstance(rule, str) else [float(each) for each in rule],
                "weight": getattr(config.weights, term),
            }
    if config.uses_style:
        fractions = [scale.style for scale in run.scales]
        if set(fractions) != {1.0}:
            identity["style"]["fractions"] = fractions
        own = config.style.size != config.image.size  # said or not, the same picture
        identity["style"]["size"] = config.style.size if own else None
    if config.trainer["_target_"] != "lightning.pytorch.Trainer":
        identity["trainer"] = config.trainer  # what it does is not known
    elif config.trainer.get("callbacks"):  # these may change the optimisation in any way
        identity["callbacks"] = config.trainer["callbacks"]
    text = json.dumps(identity, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def named(run: Run, **found: Any) -> Run:
    """The run with what was found out about it in ``config.run``."""
    return replace(run, config=replace(run.config, run=replace(run.config.run, **found)))
