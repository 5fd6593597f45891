"""The interface of content and style losses."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """A loss on the features of the backbone, in two functions.

    ``describe`` computes what an image and its target have in common, such as a Gram matrix, and
    ``distance`` compares two descriptions. The target's description is computed once. Images of a
    batch are independent: row n of a result depends on row n of the arguments alone.

    Equal losses share the computation of a batch and the cache of targets, so a loss is a frozen
    dataclass whose fields are its parameters; its config has the same keys.

    Attributes:
        scale: factor of the distance. That of a loss of ours gives it the gradient that ``gram``
            has (``python -m tests.bench.calibrate``).
        additive: whether the description of a layer is a mean over its positions.
        pointwise: whether the description of a layer has the shape of its features, and the
            distance is a mean over positions; for content losses. Large pictures are computed strip
            by strip. An additive or pointwise loss reads each strip and drops its features; others
            need memory for all features of their layers.
        copies: float32 tensors as large as the features that a step keeps, for the size of batches.
    """

    scale: float = 1.0
    additive: ClassVar[bool] = False
    pointwise: ClassVar[bool] = False
    copies: ClassVar[int] = 2

    @property
    def redraw_every(self) -> int | None:
        """Steps between new random choices; None: they stay for each size of the schedule."""
        return None

    def drawn(self, number: int) -> Self:
        """The loss with its random choices drawn for the ``number``-th time; most have none."""
        return self

    def terms(self, layers: Collection[str]) -> dict[str, tuple[str, ...]]:
        """The layers that each term of the loss describes together, by the term's name.

        By default each layer is a term. The name of a term is one of its layers, which also gives
        it its layer weight.

        Args:
            layers: canonical names of the layer set.

        Returns:
            Nothing if the layer set is too small for the loss.
        """
        return {layer: (layer,) for layer in layers}

    def describe(self, *features: Tensor) -> Tensor:
        """The description of images, (N, …), in float32 or float64 unless it is the features.

        Args:
            features: of each layer of a term, (N, C, H, W), in the backbone's precision; see
                ``at_least_float32``.
        """
        raise NotImplementedError

    def describe_weighted(self, features: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
        """As ``describe``, with weighted positions, for the regions of ``guidance=masks``.

        An additive style loss needs it there; the positions of others are selected.

        Args:
            features: as ``describe`` takes them.
            weights: for the positions of each layer, (N, 1, H, W), 0 or more, with the mean 1.
        """
        raise NotImplementedError

    @property
    def takes_weights(self) -> bool:
        """Whether it has ``describe_weighted``."""
        return type(self).describe_weighted is not Loss.describe_weighted

    def mixed(self, descriptions: Sequence[Tensor], shares: Sequence[float]) -> Tensor | None:
        """One description of several pictures; None if only distances to each can be averaged.

        Args:
            descriptions: (1, …) of each picture.
            shares: of the pictures, with the sum 1.
        """
        return weighted_sum(descriptions, shares) if self.additive else None

    def prepare(self, target: Tensor, positions: int) -> Tensor:
        """What ``distance`` takes as the target; called once. By default the description itself.

        Args:
            target: description (1, …) of the target.
            positions: H·W of the images' features; the target may have other features.
        """
        return target

    def distance(self, description: Tensor, target: Tensor) -> Tensor:
        """The losses (N,) of images, at least 0; 0 for the target itself.

        Args:
            description: of the images, (N, …).
            target: of each image, prepared, (N, …).
        """
        raise NotImplementedError


class StyleLoss(Loss):
    """A loss that compares images with a picture of any size."""


class ContentLoss(Loss):
    """A loss that compares images with a picture of the same size."""


def weighted_sum(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The sum of tensors of one shape, each times its weight."""
    pairs = zip(tensors, weights, strict=True)
    return sum((weight * each for each, weight in pairs), torch.zeros_like(tensors[0]))


def at_least_float32(features: Tensor) -> Tensor:
    """The features in float32 or float64: squares and sums in bfloat16 are too inaccurate."""
    return features.to(torch.promote_types(features.dtype, torch.float32))


def rows(features: Tensor) -> Tensor:
    """Features (N, C, H, W) with a row for each position: (N, H·W, C).

    A view of channels-last features.
    """
    return features.permute(0, 2, 3, 1).flatten(1, 2)
