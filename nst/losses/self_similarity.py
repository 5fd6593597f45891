"""Self-similarity as content."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from nst.losses.base import ContentLoss, at_least_float32, rows

POSITIONS = 1024
"""Positions of a picture that are compared with each other, at most: as Kolkin et al. 2019."""


@dataclass(frozen=True)
class SelfSimilarity(ContentLoss):
    """Difference of the distances within each picture: Kolkin et al. 2019 (STROTSS), equation 8.

    With D_ij the cosine distance of the features at positions i and j, and each column divided by
    its sum: L = mean over columns j of Σ_i |D_ij - D̂_ij|. It is their loss times the number of
    positions, which makes it independent of the size of the picture. It asks that parts of the
    picture differ from each other as they do in the content, not that they look like them.

    - Shapes: the description is (N, P, P), for at most ``positions`` positions P on a grid.
    - Cost: P²·C multiply-adds each way.
    - Pitfalls: colours are free; and so is whatever lies between the positions of the grid, in
      shallow layers of large pictures. Deep layers see beyond the grid.

    Attributes:
        positions: at most.
    """

    positions: int = POSITIONS

    def __post_init__(self) -> None:
        if not (isinstance(self.positions, int) and self.positions >= 4):
            raise ValueError(f"positions={self.positions}: must be a whole number from 4")

    def describe(self, *features: Tensor) -> Tensor:
        """The normalised distances of one layer."""
        unit = F.normalize(rows(at_least_float32(self._grid(features[0]))), dim=2, eps=1e-6)
        distances = (1 - unit @ unit.mT).clamp(min=0)
        return distances / distances.sum(1, keepdim=True).clamp(min=1e-6)

    def _grid(self, features: Tensor) -> Tensor:
        height, width = features.shape[-2:]
        step = 1
        while -(-height // step) * -(-width // step) > self.positions:
            step += 1
        return features[:, :, step // 2 :: step, step // 2 :: step]

    def distance(self, description: Tensor, target: Tensor) -> Tensor:
        """Mean over the columns of summed differences, (N,), from 0 to 2."""
        return (description - target).abs().sum(1).mean(1)
