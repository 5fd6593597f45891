"""Metrics of finished pictures, which are not the loss that a run optimises.

``nst.config.experiment.MEASURES`` defines each. Pictures are 8-bit RGB, as saved.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nst import images
from nst.images.picture import Picture
from nst.losses import Features, Gram, Loss, spectrum_distance
from nst.metrics import learned
from nst.metrics.seam import SMALLEST, seam
from nst.metrics.similarity import PATCH, patch_distance, psnr, roughness, ssim
from nst.metrics.structure import cfsd, colour_distance, edge_agreement
from nst.transfer import targets
from nst.vgg import architecture
from nst.vgg.network import VGG
from nst.vgg.weights import Weights

CONTENT_LAYER = "conv4_2"
STRUCTURE_LAYER = "relu3_1"
STRUCTURE_SIZE = 256
"""Largest shorter side for comparing self-similarities, px."""
WINDOW = 3
"""Smallest shorter side for comparing neighbours, px."""
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
        taps = [*architecture.conv_names(backbone), STRUCTURE_LAYER]
        self.network = VGG(weights, backbone, taps).to(device)

    def measure(
        self,
        result: Image.Image,
        content: Image.Image | None,
        style: Image.Image | None,
        learned_metrics: Sequence[str] = (),
        wraps: bool = False,
    ) -> dict[str, float]:
        """All metrics that apply to a result.

        Args:
            result: the final image.
            content: of the result's size; None for tasks without.
            style: of any size; None for tasks without.
            learned_metrics: ``lpips``, ``dists``: those to compute as well.
            wraps: whether the result is meant to wrap around.

        Returns:
            The metrics by name; without those that a small picture does not allow.

        Raises:
            ConfigError: if the networks of the learned metrics are missing.
        """
        factor = min(1.0, LARGEST / min(result.size))
        features = self._features(result, factor, self.network.taps)
        found: dict[str, float] = {}
        if content is not None:
            found |= self._against_content(result, content, factor, features)
        if content is not None and learned_metrics:
            networks = learned.networks(tuple(learned_metrics), self.device)
            own, original = (self._tensor(each, factor) for each in (result, content))
            found |= learned.distances(networks, own, original)
        if style is not None:
            found |= self._against_style(result, style, factor, features)
        if wraps and min(result.size) >= SMALLEST:
            found["seam"] = seam(np.asarray(result))
        if "content_distance" in found and "patch_distance" in found:
            found["combined_distance"] = (1 + found["content_distance"]) * (
                1 + found["patch_distance"]
            )
        return found

    def _against_content(
        self, result: Image.Image, content: Image.Image, factor: float, features: dict[str, Tensor]
    ) -> dict[str, float]:
        own, original = np.asarray(result), np.asarray(content)
        found = {"psnr": psnr(own, original)}
        if min(result.size) >= WINDOW:
            found |= {"ssim": ssim(own, original), "roughness": roughness(own, original)}
        found["edge_agreement"] = edge_agreement(own, original)
        wanted = self._targets(Features(), content, factor, {CONTENT_LAYER, STRUCTURE_LAYER})
        if CONTENT_LAYER in wanted:
            found["content_distance"] = _relative(features[CONTENT_LAYER], wanted[CONTENT_LAYER])
        smaller = min(1.0, STRUCTURE_SIZE / min(result.size))
        if smaller < factor:
            features = self._features(result, smaller, {STRUCTURE_LAYER})
            wanted = self._targets(Features(), content, smaller, {STRUCTURE_LAYER})
        if STRUCTURE_LAYER in wanted:
            found["cfsd"] = cfsd(features[STRUCTURE_LAYER], wanted[STRUCTURE_LAYER])
        return found

    def _against_style(
        self, result: Image.Image, style: Image.Image, factor: float, features: dict[str, Tensor]
    ) -> dict[str, float]:
        gram = Gram()
        theirs = self._targets(gram, style, factor, set(features) - {STRUCTURE_LAYER})
        distances = [
            _relative(gram.describe(features[layer]), wanted) for layer, wanted in theirs.items()
        ]
        own, original = np.asarray(result), np.asarray(style)
        found = {
            "gram_distance": sum(distances) / len(distances),
            "colour_distance": colour_distance(own, original),
            "spectrum_distance": _spectrum(result, style),
        }
        if min(*result.size, *style.size) >= PATCH:
            found["patch_distance"] = patch_distance(own, original)
        return found

    @torch.no_grad()
    def _features(
        self, image: Image.Image, factor: float, taps: Collection[str]
    ) -> dict[str, Tensor]:
        """Features of an image resized by ``factor``, of the taps that it is large enough for."""
        return self.network(self._tensor(image, factor), _reached(taps, _shape(image, factor)))

    def _tensor(self, image: Image.Image, factor: float) -> Tensor:
        """An image resized by ``factor``: (1, 3, H, W), RGB in [0, 1]."""
        tensor = images.to_tensor(Picture("", image), *_shape(image, factor))
        return tensor[None].to(self.device)

    def _targets(
        self, loss: Loss, image: Image.Image, factor: float, taps: set[str]
    ) -> dict[str, Tensor]:
        """Targets for an image resized by ``factor``, cached for other runs with the same image."""
        shape = _shape(image, factor)
        terms = loss.terms(sorted(_reached(taps, shape)))
        return targets.descriptions(loss, self.network, Picture("", image), shape, terms)


def _spectrum(result: Image.Image, style: Image.Image) -> float:
    """Distance to the pictures with the style's spectrum, over the variance of the style."""
    width, height = result.size
    own, wanted = (images.to_tensor(Picture("", each), height, width) for each in (result, style))
    variance = wanted.var(dim=(1, 2), correction=0).mean().clamp(min=1e-6)
    return float(spectrum_distance(own[None], wanted[None]) / variance)


def _shape(image: Image.Image, factor: float) -> tuple[int, int]:
    width, height = (max(1, round(side * factor)) for side in image.size)
    return height, width


def _reached(taps: Collection[str], shape: tuple[int, int]) -> set[str]:
    """The layers that have features for a picture of this shape (height, width)."""
    return {layer for layer in taps if architecture.stride(layer) <= min(shape)}


def _relative(value: Tensor, wanted: Tensor) -> float:
    """Squared distance over the squared norm of what is wanted."""
    return float((value - wanted).square().sum() / wanted.square().sum())
