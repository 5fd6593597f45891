"""One run: its config, its pictures, and what the config names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import nn

from nst import images
from nst.config.experiment import ExperimentJob
from nst.config.schema import Config
from nst.images.picture import Picture
from nst.losses import ContentLoss, Loss, StyleLoss
from nst.optim import PerImage
from nst.transfer import schedule
from nst.transfer.schedule import Scale
from nst.utils.text import folder_part
from nst.vgg.weights import Weights


@dataclass(frozen=True)
class Resolved:
    """What a config names, looked up once.

    Attributes:
        device: where the run computes.
        precision: ``32`` or ``bf16``.
        weights: of the backbone.
        optimizer: from the image parameter to ``nst.optim.LBFGS`` or ``nst.optim.Adam``.
        content_loss: None if there is none.
        style_loss: of tasks with a style.
    """

    device: torch.device
    precision: str
    weights: Weights
    optimizer: Callable[[list[nn.Parameter]], PerImage]
    content_loss: ContentLoss | None
    style_loss: StyleLoss


@dataclass(frozen=True)
class Style:
    """A style picture of a run, and where it counts.

    Attributes:
        picture: the style.
        share: of all style losses: of a mix, or of the image's pixels if it is for a region.
        region: mask of the image; None: everywhere.
        source: mask of the picture: the part that it is the style of; None: all of it.
    """

    picture: Picture
    share: float = 1.0
    region: Picture | None = None
    source: Picture | None = None


class Judge(Protocol):
    """Decides at snapshots whether a run is worth its further steps."""

    def __call__(self, step: int, values: Sequence[float]) -> str | None:
        """Why the run is pruned; None: it continues.

        Args:
            step: of the snapshot.
            values: of ``config.objective`` at that step; NaN if one is unknown.
        """


@dataclass(frozen=True)
class Run:
    """One optimisation of one image: a checked config with the pictures it needs.

    Attributes:
        config: checked, layer names canonical.
        resolved: what the config names.
        content: None if the task has no content loss.
        styles: the one with the largest share first; empty if the task has no style loss. In other
            colours than their files' if ``config.colour`` says so.
        init: the picture of ``init=file``, else None.
        grey: the content without its colours if only lightness is optimised
            (``colour=keep_luminance``), else None.
        experiment_job: its job of an experiment; None: it has none.
        judge: may prune it at a snapshot; None: nothing does.
    """

    config: Config
    resolved: Resolved
    content: Picture | None
    styles: tuple[Style, ...]
    init: Picture | None
    grey: Picture | None = None
    experiment_job: ExperimentJob | None = None
    judge: Judge | None = None

    @property
    def style(self) -> Picture | None:
        """The style with the largest share: that of ``init=style``, of whose shape a texture is."""
        return self.styles[0].picture if self.styles else None

    @property
    def guided(self) -> bool:
        """Whether its styles are for regions."""
        return any(style.region is not None for style in self.styles)

    def style_shape(self, style: Style, scale: Scale) -> tuple[int, int]:
        """(height, width) of a style picture at a scale."""
        shorter = max(1, round(self.config.style_size * scale.fraction))
        return images.fit(style.picture.image.size, shorter)

    def shape(self, scale: Scale) -> tuple[int, int]:
        """(height, width) of the image at a scale: the aspect of the content, or else the style.

        Both are multiples of ``Config.side_step``.
        """
        canvas = self.content or self.style
        assert canvas is not None  # every task has one of them
        height, width = images.fit(canvas.image.size, scale.size)
        step = self.config.side_step
        return schedule.nearest_multiple(height, step), schedule.nearest_multiple(width, step)

    @property
    def optimised_content(self) -> Picture | None:
        """The content as the image is compared with it."""
        return self.content if self.grey is None else self.grey

    @property
    def adds_detail(self) -> bool:
        """Whether its image gets the content's detail when it grows."""
        return self.config.schedule.detail and self.config.init.name == "content"

    @property
    def taps(self) -> set[str]:
        """Layers that its losses use."""
        terms = (*self.terms("content").values(), *self.terms("style").values())
        return {layer for layers in terms for layer in layers}

    def loss(self, term: str) -> Loss | None:
        """Its ``content`` or ``style`` loss; None: its task has none, or it is switched off."""
        if term == "content":
            return self.resolved.content_loss if self.config.uses_content else None
        return self.resolved.style_loss if self.config.uses_style else None

    def terms(self, term: str) -> dict[str, tuple[str, ...]]:
        """The parts of its ``content`` or ``style`` loss: ``Loss.terms``."""
        loss = self.loss(term)
        return loss.terms(getattr(self.config.layers, term)) if loss is not None else {}

    @property
    def uses_spectrum(self) -> bool:
        """Whether the spectrum of its style is part of its objective."""
        return self.config.uses_style and self.config.weights.spectrum > 0

    @cached_property
    def scales(self) -> list[Scale]:
        """Its schedule, with a scale for each draw of its style loss."""
        loss, found = self.loss("style"), schedule.scales(self.config)
        return schedule.redrawn(found, loss.redraw_every if loss is not None else None)

    @cached_property
    def float32_from(self) -> int:
        """First step that runs in float32 whatever the precision."""
        return schedule.float32_from(self.config)

    def label(self) -> str:
        """Task, pictures and init, as the beginning of a folder's name."""
        config = self.config
        styles = dict.fromkeys(style.picture.name for style in self.styles)
        names = [self.content.name] if self.content else []
        parts = [config.task, *names, *styles, config.init.name]
        return "-".join(map(folder_part, parts))
