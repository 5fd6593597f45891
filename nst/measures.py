"""Yardsticks for finished pictures that are not the loss being optimised.

What each means is said in ``nst.experiment.MEASURES``. Pictures are 8-bit RGB, as they are saved.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nst import images, layers, losses
from nst.images import Picture
from nst.similarity import PATCH, patch_distance, psnr, roughness, ssim
from nst.vgg import VGG
from nst.weights import Weights

CONTENT_LAYER = "conv4_2"
LARGEST = 512
"""Features are compared at this shorter side at most, px: beyond, all layers would fill memory."""


class Yardstick:
    """Measures results with all convolutions of a backbone, whichever a run optimised.

    Args:
        weights: of the backbone.
        backbone: ``vgg16`` or ``vgg19``; pooling and padding are as trained, so that runs with
            other settings are measured alike.
        device: where to compute.
    """

    def __init__(self, weights: Weights, backbone: str, device: torch.device) -> None:
        self.device = device
        self.network = VGG(weights, backbone, layers.conv_names(backbone)).to(device)

    def measure(
        self, result: Image.Image, content: Image.Image | None, style: Image.Image | None
    ) -> dict[str, float]:
        """All measures that make sense for a result.

        Args:
            result: the final image.
            content: of the result's size; None for tasks without.
            style: of any size; None for tasks without.
        """
        found: dict[str, float] = {}
        factor = min(1.0, LARGEST / min(result.size))
        features = self._features(result, factor)
        if content is not None:
            found["psnr"] = psnr(np.asarray(result), np.asarray(content))
            found["ssim"] = ssim(np.asarray(result), np.asarray(content))
            found["roughness"] = roughness(np.asarray(result), np.asarray(content))
            if CONTENT_LAYER in features:
                wanted = self._features(content, factor)[CONTENT_LAYER]
                found["content_distance"] = _relative(features[CONTENT_LAYER], wanted)
        if style is not None:
            theirs = self._features(style, factor)
            distances = [
                _relative(losses.gram(features[layer]), losses.gram(theirs[layer]))
                for layer in features
                if layer in theirs
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
        """Features, at ``factor`` times its size, of all layers that a picture so large reaches."""
        width, height = (max(1, round(side * factor)) for side in image.size)
        tensor = images.to_tensor(Picture("", image), height, width)
        least = min(height, width)
        taps = {layer for layer in self.network.taps if layers.stride(layer) <= least}
        return self.network(tensor[None].to(self.device), taps)


def _relative(value: Tensor, wanted: Tensor) -> float:
    """Squared distance over the squared length of what was wanted."""
    return float((value - wanted).square().sum() / wanted.square().sum())
