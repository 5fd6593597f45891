"""Cosine matches between the features of two pictures, and the base of losses that use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from nst.losses.base import StyleLoss, at_least_float32, rows

SAMPLES = 1024
"""Positions of a picture that others are matched with, at most: as Kolkin et al. 2019."""

CHUNK = 2**22
"""Similarities that are in memory at a time."""


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
        """The features of one layer, a row for each position: (N, H·W, C)."""
        return rows(at_least_float32(features[0]))


def sample(features: Tensor, most: int | None) -> Tensor:
    """At most so many of the positions of ``features`` (N, M, C), always the same ones."""
    count = features.shape[1]
    if most is None or count <= most:
        return features
    # random ones: a grid would fit some textures better than others
    chosen = torch.randperm(count, generator=torch.Generator().manual_seed(0))[:most]
    return features[:, chosen.sort().values.to(features.device)]


@torch.no_grad()
def matches(features: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
    """Which features are most similar, by cosine.

    Args:
        features: (N, M, C).
        samples: (N, S, C).

    Returns:
        (N, M), the most similar sample of each feature; (N, S), the most similar feature of each
        sample. The first one of equal similarities.
    """
    ahead, back = [], []
    for own, others in zip(F.normalize(features, dim=2), F.normalize(samples, dim=2), strict=True):
        highest = own.new_full((len(others),), -torch.inf)
        best = torch.zeros(len(others), dtype=torch.long, device=own.device)
        found, start = [], 0
        for part in own.split(max(1, CHUNK // len(others))):
            similarity = part @ others.mT
            found.append(similarity.argmax(1))
            value, index = similarity.max(0)
            best = torch.where(value > highest, index + start, best)
            highest = torch.maximum(value, highest)
            start += len(part)
        ahead.append(torch.cat(found))
        back.append(best)
    return torch.stack(ahead), torch.stack(back)


def picked(features: Tensor, indices: Tensor) -> Tensor:
    """The features (N, K, C) at the positions ``indices`` (N, K) of (N, M, C)."""
    return features.gather(1, indices[:, :, None].expand(-1, -1, features.shape[2]))


def cosine_distance(features: Tensor, others: Tensor) -> Tensor:
    """1 - cosine of the angles between pairs of features (N, K, C): (N, K), from 0 to 2."""
    return 1 - F.cosine_similarity(features, others, dim=2, eps=1e-6)
