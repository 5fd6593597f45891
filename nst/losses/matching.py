"""Cosine matches between the features of two pictures, and the base of losses that use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from nst.losses.base import StyleLoss, rows

SAMPLES = 1024
"""Positions of a picture that others are matched with, at most: as Kolkin et al. 2019."""

CHUNK = 2**20
"""Similarities that are in memory at a time: few enough for a processor's cache."""


@dataclass(frozen=True)
class Matching(StyleLoss):
    """A style loss that matches features at the positions of two pictures.

    Attributes:
        samples: positions of the style, at most, always the same ones; None: all.
    """

    samples: int | None = SAMPLES
    copies: ClassVar[int] = 6

    def __post_init__(self) -> None:
        if self.samples is not None and not (isinstance(self.samples, int) and self.samples >= 1):
            raise ValueError(f"samples={self.samples}: must be a whole number from 1, or null: all")

    def describe(self, *features: Tensor) -> Tensor:
        """The features of one layer in their own precision, a row for each position: (N, H·W, C).

        Matches are chosen in that precision: in bfloat16, for half the time. Distances between the
        matches are at least in float32.
        """
        return rows(features[0])


def sample(features: Tensor, most: int | None) -> Tensor:
    """At most so many of the positions of ``features`` (N, M, C), always the same ones."""
    count = features.shape[1]
    if most is None or count <= most:
        return features
    # random ones: a grid would fit some textures better than others
    chosen = torch.randperm(count, generator=torch.Generator().manual_seed(0))[:most]
    return features[:, chosen.sort().values.to(features.device)]


@torch.no_grad()
def nearest(features: Tensor, others: Tensor) -> Tensor:
    """Which of the others is most similar to each feature, by cosine.

    Args:
        features: (N, M, C); their lengths do not matter.
        others: (N, K, C).

    Returns:
        Indices (N, M); the first one of equal similarities.
    """
    found = []
    for own, candidates in zip(features, F.normalize(others, dim=2), strict=True):
        parts = own.split(max(1, CHUNK // len(candidates)))
        found.append(torch.cat([_of_maximum(part @ candidates.mT) for part in parts]))
    return torch.stack(found)


def _of_maximum(rows: Tensor) -> Tensor:
    """The index of the maximum of each row, the first one of equal values: (M,)."""
    if rows.device.type != "cpu" or torch.compiler.is_compiling():
        return rows.max(1).indices  # faster than argmax, in bfloat16
    # several times as fast as PyTorch on a CPU; NumPy has no bfloat16
    wide = rows.float() if rows.dtype == torch.bfloat16 else rows
    return torch.from_numpy(wide.numpy().argmax(axis=1))


def picked(features: Tensor, indices: Tensor) -> Tensor:
    """The features (N, K, C) at the positions ``indices`` (N, K) of (N, M, C)."""
    return features.gather(1, indices[:, :, None].expand(-1, -1, features.shape[2]))


def cosine_distance(features: Tensor, others: Tensor) -> Tensor:
    """1 - cosine of the angles between pairs of features (N, K, C): (N, K), from 0 to 2."""
    lengths = torch.linalg.vector_norm(features, dim=2) * torch.linalg.vector_norm(others, dim=2)
    return 1 - (features * others).sum(2) / lengths.clamp(min=1e-6)
