"""A term of a loss for some images of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nst.losses import Loss
from nst.transfer.guidance import Region, described
from nst.vgg.tiling import Strip

ROWS = 64
"""Rows of a pointwise target that are compared at a time: large ones need much memory."""


@dataclass(frozen=True)
class Comparison:
    """One term of a loss, for the images of the batch that share it.

    Attributes:
        name: such as ``style/conv1_1``.
        layers: whose features it describes together.
        loss: of these images.
        target: prepared descriptions of their targets, (n, …).
        rows: which images, on their device; None: all.
        key: unlike that of the same term of other images.
        shares: factors of their distances, (n,); None: 1.
        region: the positions that count; None: all.
    """

    name: str
    layers: tuple[str, ...]
    loss: Loss
    target: Tensor
    rows: Tensor | None
    key: str
    shares: Tensor | None = None
    region: Region | None = None

    @property
    def by_strip(self) -> bool:
        """Whether each strip is read by itself and its features are dropped."""
        return self.loss.additive or self.loss.pointwise

    def read(self, features: Tensor, strip: Strip) -> Tensor:
        """The description of a strip of all images, or its distance: a mean over its positions."""
        own = [self._own(features)]
        description = described(self.loss, own, self.region, strip.rows)
        if self.loss.additive:
            return description
        return self.loss.distance(description, self.target[:, :, strip.rows])

    def value(self, means: dict[str, Tensor], features: dict[str, Tensor], count: int) -> Tensor:
        """The loss of each image, (count,); 0 for images without it.

        Args:
            means: over all strips, of what ``read`` returned, by name.
            features: whole, by layer.
            count: images of the batch.
        """
        if not self.by_strip:
            own = [self._own(features[layer]) for layer in self.layers]
            found = self.loss.distance(described(self.loss, own, self.region), self.target)
        elif self.loss.additive:
            found = self.loss.distance(means[self.key], self.target)
        else:
            found = means[self.key]
        return self._placed(self.loss.scale * found, count)

    @torch.no_grad()
    def magnitude(self, shapes: Sequence[tuple[int, ...]], count: int) -> Tensor:
        """What ``value`` is for images whose features are all 0.

        Args:
            shapes: of the features of each layer, (C, H, W).
            count: images of the batch.
        """
        loss, one = self.loss, self.target.new_zeros(1)
        if loss.pointwise:
            found = one.float().expand(len(self.target))
            for part in self.target.split(ROWS, dim=2):
                share = part.shape[2] / self.target.shape[2]
                zeros = one.expand(part.shape)
                found = found + share * loss.distance(loss.describe(zeros), part)
        else:
            sides = [(*shape[:1], 1, 1) if loss.additive else shape for shape in shapes]
            blank = [one.expand(len(self.target), *side) for side in sides]
            region = None if loss.additive else self.region
            found = loss.distance(described(loss, blank, region), self.target)
        return self._placed(loss.scale * found, count)

    def _own(self, features: Tensor) -> Tensor:
        return features if self.rows is None else features[self.rows]

    def _placed(self, values: Tensor, count: int) -> Tensor:
        if self.shares is not None:
            values = self.shares * values
        if self.rows is None:
            return values
        return values.new_zeros(count).index_add(0, self.rows, values)
