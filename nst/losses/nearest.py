"""Nearest neighbours as style."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nst.losses.base import at_least_float32
from nst.losses.matching import Matching, cosine_distance, nearest, picked, sample


@dataclass(frozen=True)
class Nearest(Matching):
    """Cosine distance to the nearest neighbours: Kolkin et al. 2022 (NNST), section 3.

    L = mean over positions p of 1 - cos(f_p - μ̂, ŝ_p - μ̂), where ŝ_p is the feature of the style
    nearest to f_p by the cosine of centred features, each picture by its own mean, and μ̂ is the
    mean of the style. The choice of neighbours is taken as constant in the gradient. (They centre
    the image by its own mean in the distance as well, which leaves its mean colour free.)

    - Shapes: the description is the features (N, H·W, C); of the style, at most ``samples`` of its
      positions, the same ones at every step.
    - Cost: H·W·samples·C multiply-adds, forward only.
    - Pitfalls: nothing makes the image use all of the style. A flat content finds one neighbour
      again and again; ``remd`` also asks the reverse. The cosine does not see how strong a feature
      is, so contrast may drift.
    """

    def prepare(self, target: Tensor, positions: int) -> Tensor:
        """The mean of the style's features, then the sampled ones: (1, 1 + S, C)."""
        target = at_least_float32(target)
        return torch.cat([target.mean(1, keepdim=True), sample(target, self.samples)], 1)

    def distance(self, description: Tensor, target: Tensor) -> Tensor:
        """Mean cosine distances to the neighbours, (N,)."""
        mean, samples = target[:, :1], target[:, 1:] - target[:, :1]
        full = at_least_float32(description)
        centred = full.detach() - full.detach().mean(1, keepdim=True)
        chosen = nearest(centred.to(description.dtype), samples.to(description.dtype))
        return cosine_distance(full - mean, picked(samples, chosen)).mean(1)
