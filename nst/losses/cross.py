"""Gram matrices between layers as style."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor
from torch.nn import functional as F

from nst.losses.base import StyleLoss, at_least_float32, rows, weighted_sum


@dataclass(frozen=True)
class Cross(StyleLoss):
    """Mean squared difference of the Gram matrices of each layer with the next: Yeh et al. 2018.

    G = F U(F')ᵀ / (√(C·C')·H·W), where F' are the features of the next deeper layer of the layer
    set and U repeats each of them over the positions that it covers. The adjoint of U sums over
    these positions, so that the product is computed at the smaller size, exactly.

    - Shapes: the description of layers with C and C' channels is (N, C, C').
    - Cost: at most that of the Gram matrices of the deeper layers.
    - Pitfalls: needs two layers; the deepest has no term of its own. Channels of a layer are
      related to each other only through the next layer.
    """

    def terms(self, layers: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Neighbours in order of depth; a term has the name of its shallower layer."""
        ordered = sorted(layers, key=lambda layer: (layer[4:], layer[:4]))
        return {first: (first, second) for first, second in pairwise(ordered)}

    def describe(self, *features: Tensor) -> Tensor:
        """The Gram matrices between two layers."""
        shallow, deep = map(at_least_float32, features)
        return _products(shallow, deep)

    def describe_weighted(self, features: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
        """The Gram matrices between two layers, with the weights of the deeper one's positions."""
        shallow, deep = map(at_least_float32, features)
        return _products(shallow, deep * weights[1])

    def mixed(self, descriptions: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
        """The Gram matrices of positions of which each style has its share."""
        return weighted_sum(descriptions, shares)

    def distance(self, description: Tensor, target: Tensor) -> Tensor:
        """Mean squared differences, (N,)."""
        return (description - target).square().mean(dim=(1, 2))


def _products(shallow: Tensor, deep: Tensor) -> Tensor:
    shrink = shallow.shape[-1] // deep.shape[-1]
    if shrink > 1:
        shallow = F.avg_pool2d(shallow, shrink)
    channels = shallow.shape[1] * deep.shape[1]
    positions = deep[0, 0].numel()
    return rows(shallow).mT @ rows(deep) / (channels**0.5 * positions)
