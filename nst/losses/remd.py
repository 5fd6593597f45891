"""Relaxed earth mover's distance as style."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nst.losses.base import at_least_float32
from nst.losses.matching import Matching, cosine_distance, nearest, picked, sample


@dataclass(frozen=True)
class RelaxedEMD(Matching):
    """Relaxed earth mover's distance and moments: Kolkin et al. 2019 (STROTSS), equations 3 to 7.

    L = max(mean_p min_s d(f_p, ŝ), mean_s min_p d(f_p, ŝ)) + mean |μ - μ̂| + mean |Σ - Σ̂|, where d
    is the cosine distance, s runs over samples of the style and p over all positions, and μ and Σ
    are the means and covariances of the channels. The earth mover's distance must move every
    feature to the style and use up the style; this is the larger of the two constraints alone.

    Unlike theirs, each layer is compared by itself instead of a stack of all, and every position of
    the image takes part in every step, instead of 1024 drawn anew: only the matched pairs have a
    gradient, so that this needs no more memory, and L-BFGS does not bear a changing objective.

    - Shapes: the description is the features (N, H·W, C); of the style, at most ``samples`` of its
      positions, the same ones at every step.
    - Cost: H·W·samples·C multiply-adds, forward only, and the covariance's H·W·C² each way.
    - Pitfalls: the matches change from step to step, so the loss has kinks.
    """

    def prepare(self, target: Tensor, positions: int) -> Tensor:
        """Mean, covariance and samples of the style's features: (1, 1 + C + S, C)."""
        target = at_least_float32(target)
        return torch.cat([*_moments(target), sample(target, self.samples)], 1)

    def distance(self, description: Tensor, target: Tensor) -> Tensor:
        """The relaxed distance and both differences of moments, (N,)."""
        channels = description.shape[2]
        mean, covariance, samples = target.split(
            [1, channels, target.shape[1] - 1 - channels], dim=1
        )
        full, few = at_least_float32(description), samples.to(description.dtype)
        moved = cosine_distance(full, picked(samples, nearest(description, few))).mean(1)
        covered = cosine_distance(picked(full, nearest(few, description)), samples).mean(1)
        own_mean, own_covariance = _moments(full)
        means = (own_mean - mean).abs().mean((1, 2))
        covariances = (own_covariance - covariance).abs().mean((1, 2))
        return torch.maximum(moved, covered) + means + covariances


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Means (N, 1, C) and covariances (N, C, C) of features (N, M, C)."""
    mean = features.mean(1, keepdim=True)
    centred = features - mean
    return mean, centred.mT @ centred / features.shape[1]
