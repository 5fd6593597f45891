"""One run: its config, its pictures, and what the config names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from nst import images
from nst.config.experiment import ExperimentJob
from nst.config.schema import Config
from nst.images.picture import Picture
from nst.optim import PerImage
from nst.transfer import schedule
from nst.transfer.schedule import Scale
from nst.vgg.weights import Weights


@dataclass(frozen=True)
class Resolved:
    """What a config names, looked up once.

    Attributes:
        device: where the run computes.
        precision: ``32`` or ``bf16``.
        weights: of the backbone.
        optimizer: from the image parameter to ``nst.optim.LBFGS`` or ``nst.optim.Adam``.
    """

    device: torch.device
    precision: str
    weights: Weights
    optimizer: Callable[[list[nn.Parameter]], PerImage]


@dataclass(frozen=True)
class Run:
    """One optimisation of one image: a checked config with the pictures it needs.

    Attributes:
        config: checked, layer names canonical.
        resolved: what the config names.
        content: None if the task has no content loss.
        style: None if the task has no style loss.
        init: the picture of ``init=file``, else None.
        experiment_job: its job of an experiment; None: it has none.
    """

    config: Config
    resolved: Resolved
    content: Picture | None
    style: Picture | None
    init: Picture | None
    experiment_job: ExperimentJob | None = None

    def shape(self, scale: Scale) -> tuple[int, int]:
        """(height, width) of the image at a scale: the aspect of the content, or else the style."""
        canvas = self.content or self.style
        assert canvas is not None  # every task has one of them
        return images.fit(canvas.image.size, scale.size)

    @property
    def taps(self) -> set[str]:
        """Layers that its losses use."""
        config = self.config
        content = config.layers.content if config.uses_content else []
        style = config.layers.style if config.uses_style else []
        return {*content, *style}

    @cached_property
    def scales(self) -> list[Scale]:
        """Its schedule."""
        return schedule.scales(self.config)

    @cached_property
    def float32_from(self) -> int:
        """First step that runs in float32 whatever the precision."""
        return schedule.float32_from(self.config)

    def label(self) -> str:
        """Task, pictures and init, as the beginning of a folder's name."""
        config = self.config
        names = [picture.name for picture in (self.content, self.style) if picture]
        parts = [config.task, *names, config.init.name]
        return "-".join(re.sub(r"[^A-Za-z0-9_]+", "_", part)[:32].strip("_") for part in parts)
