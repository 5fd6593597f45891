"""Metrics of finished pictures, which are not the loss that a run optimises.

``nst.config.experiment.MEASURES`` defines each. Pictures are 8-bit RGB, as saved.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from nst import images
from nst.images import masks
from nst.images.picture import Picture
from nst.losses import Features, Gram, Loss, spectrum_distance
from nst.metrics import learned
from nst.metrics.seam import SMALLEST, seam
from nst.metrics.similarity import PATCH, patch_distance, psnr, roughness, ssim, stroke_size
from nst.metrics.structure import cfsd, chroma_difference, colour_distance, edge_agreement
from nst.transfer.descriptions import descriptions
from nst.transfer.guidance import Region, described, is_empty, region_of
from nst.transfer.run import Style
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
        styles: Sequence[Style] = (),
        learned_metrics: Sequence[str] = (),
        wraps: bool = False,
    ) -> dict[str, float]:
        """All metrics that apply to a result.

        Args:
            result: the final image.
            content: of the result's size; None for tasks without.
            styles: of any sizes; none for tasks without. Metrics are means over them, by their
                shares, and of regions by themselves.
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
        if styles:
            each = [self._against_style(result, style, factor, features) for style in styles]
            found |= _mean(each, [style.share for style in styles])
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
            found["stroke_size"] = stroke_size(own, original)
        found["edge_agreement"] = edge_agreement(own, original)
        found["chroma_difference"] = chroma_difference(own, original)
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
        self, result: Image.Image, style: Style, factor: float, features: dict[str, Tensor]
    ) -> dict[str, float]:
        picture, gram = style.picture.image, Gram()
        layers = features.keys() - {STRUCTURE_LAYER}
        own = self._regions(style.region, _shape(result, factor), layers)
        theirs = self._regions(style.source, _shape(picture, factor), layers)
        wanted = self._targets(gram, picture, factor, own.keys() & theirs.keys(), theirs)
        distances = [
            _relative(described(gram, [features[layer]], own[layer]), found)
            for layer, found in wanted.items()
        ]
        measured = {"gram_distance": sum(distances) / len(distances)} if distances else {}
        image, original = np.asarray(result), np.asarray(picture)
        inside, style_inside = _inside(style.region, result), _inside(style.source, picture)
        measured["colour_distance"] = colour_distance(
            _chosen(image, inside), _chosen(original, style_inside)
        )
        if inside is None and style_inside is None:
            measured["spectrum_distance"] = _spectrum(result, picture)
        if min(*result.size, *picture.size) >= PATCH:
            measured["patch_distance"] = patch_distance(image, original, inside, style_inside)
        return measured

    def _regions(
        self, mask: Picture | None, shape: tuple[int, int], layers: Collection[str]
    ) -> dict[str, Region | None]:
        """A region at the layers in which it has positions; None: no mask."""
        found = {
            layer: region_of(mask, shape, [layer], self.network)
            for layer in _reached(layers, shape)
        }
        return {
            layer: region
            for layer, region in found.items()
            if region is None or not is_empty(region.masks[0])
        }

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
        self,
        loss: Loss,
        image: Image.Image,
        factor: float,
        taps: Collection[str],
        regions: Mapping[str, Region | None] | None = None,
    ) -> dict[str, Tensor]:
        """Targets for an image resized by ``factor``, cached for other runs with the same image."""
        shape = _shape(image, factor)
        terms = loss.terms(sorted(_reached(taps, shape)))
        return descriptions(loss, self.network, Picture("", image), shape, terms, regions)


def _mean(found: Sequence[Mapping[str, float]], shares: Sequence[float]) -> dict[str, float]:
    """Means of the metrics that all have, by the shares."""
    return {
        name: sum(share * each[name] for each, share in zip(found, shares, strict=True))
        / sum(shares)
        for name in found[0]
        if all(name in each for each in found)
    }


def _inside(mask: Picture | None, image: Image.Image) -> NDArray[np.bool_] | None:
    """Which pixels of an image are in a region, (H, W); None: all."""
    if mask is None:
        return None
    inside = masks.to_tensor(mask, image.height, image.width)[0].numpy()
    return np.asarray(inside >= inside.max() / 2)


def _chosen(image: NDArray[np.uint8], inside: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """The pixels in a region, in a column (K, 1, 3); all of them as they are."""
    return image if inside is None else image[inside][:, None]


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
