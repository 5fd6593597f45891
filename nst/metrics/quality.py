"""Metrics of finished pictures, which are not the loss that a run optimises.

``nst.config.experiment.MEASURES`` defines each. Pictures are 8-bit RGB, as saved.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nst import images, losses
from nst.images.picture import Picture
from nst.metrics.similarity import PATCH, patch_distance, psnr, roughness, ssim
from nst.transfer import targets
from nst.vgg import architecture
from nst.vgg.network import VGG
from nst.vgg.weights import Weights

Targets = Callable[[VGG, Picture, tuple[int, int], Collection[str]], dict[str, Tensor]]

CONTENT_LAYER = "conv4_2"
LARGEST = 512
"""Largest shorter side for comparing features, px; above it, all layers would need much memory."""


class Metrics:
    """Computes the metrics of results, with all convolutions of a backbone.

    Args:
        weights: of the backbone.
        backbone: ``vgg16`` or ``vgg19``; pooling and padding are as trained, whatever the runs use,
            so that all runs are measured alike.
        device: where to compute.
    """

    def __init__(self, weights: Weights, backbone: str, device: torch.device) -> None:
        self.device = device
        self.network = VGG(weights, backbone, architecture.conv_names(backbone)).to(device)

    def measure(
        self, result: Image.Image, content: Image.Image | None, style: Image.Image | None
    ) -> dict[str, float]:
        """All metrics that apply to a result.

        Args:
            result: the final image.
            content: of the result's size; None for tasks without.
            style: of any size; None for tasks without.

        Returns:
            The metrics by name; without those that a small picture does not allow.
        """
        found: dict[str, float] = {}
        factor = min(1.0, LARGEST / min(result.size))
        features = self._features(result, factor)
        if content is not None:
            found["psnr"] = psnr(np.asarray(result), np.asarray(content))
            found["ssim"] = ssim(np.asarray(result), np.asarray(content))
            found["roughness"] = roughness(np.asarray(result), np.asarray(content))
            if CONTENT_LAYER in features:
                wanted = self._targets(targets.features, content, factor, {CONTENT_LAYER})
                found["content_distance"] = _relative(
                    features[CONTENT_LAYER], wanted[CONTENT_LAYER]
                )
        if style is not None:
            theirs = self._targets(targets.gram_matrices, style, factor, set(features))
            distances = [
                _relative(losses.gram_matrix(features[layer]), wanted)
                for layer, wanted in theirs.items()
            ]
            found["gram_distance"] = sum(distances) / len(distances)
            if min(*result.size, *style.size) >= PATCH:
                found["patch_distance"] = patch_distance(np.asarray(result), np.asarray(style))
        if "content_distance" in found and "patch_distance" in found:
            found["combined_distance"] = (1 + found["content_distance"]) * (
                1 + found["patch_distance"]
            )
        return found

    @torch.no_grad()
    def _features(self, image: Image.Image, factor: float) -> dict[str, Tensor]:
        """Features of an image resized by ``factor``, of all layers that it is large enough for."""
        shape = _shape(image, factor)
        tensor = images.to_tensor(Picture("", image), *shape)
        return self.network(tensor[None].to(self.device), _reached(self.network.taps, shape))

    def _targets(
        self, compute: Targets, image: Image.Image, factor: float, taps: set[str]
    ) -> dict[str, Tensor]:
        """Targets for an image resized by ``factor``, cached for other runs with the same image."""
        shape = _shape(image, factor)
        return compute(self.network, Picture("", image), shape, sorted(_reached(taps, shape)))


def _shape(image: Image.Image, factor: float) -> tuple[int, int]:
    width, height = (max(1, round(side * factor)) for side in image.size)
    return height, width


def _reached(taps: Collection[str], shape: tuple[int, int]) -> set[str]:
    """The layers that have features for a picture of this shape (height, width)."""
    return {layer for layer in taps if architecture.stride(layer) <= min(shape)}


def _relative(value: Tensor, wanted: Tensor) -> float:
    """Squared distance over the squared norm of what is wanted."""
    return float((value - wanted).square().sum() / wanted.square().sum())
