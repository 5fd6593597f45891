"""Masks at the layers of the backbone: Gatys et al. 2017, section 4 (guidance channels)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from nst.images import masks
from nst.images.picture import Picture
from nst.losses import Loss
from nst.vgg import architecture
from nst.vgg.network import VGG


def layer_mask(
    mask: Picture, shape: tuple[int, int], layer: str, backbone: str, eroded: bool
) -> Tensor:
    """A mask at the positions of a layer, (1, 1, H', W'), from 0 to 1.

    A position has the mean of the pixels that it stands for. Eroded, it has the least value in its
    receptive field, as far as that lies in the picture: 1 only where the layer sees nothing but the
    region.

    Args:
        mask: white inside the region.
        shape: (height, width) of the picture, px.
        layer: canonical name.
        backbone: ``vgg16`` or ``vgg19``.
        eroded: whether the whole receptive field counts.
    """
    full, stride = masks.to_tensor(mask, *shape)[None], architecture.stride(layer)
    if not eroded:
        return F.avg_pool2d(full, stride)
    # on either side of the pixels of a position
    reach = (architecture.receptive_field(layer, backbone) - stride + 1) // 2
    outside = F.max_pool2d(1 - full, (2 * reach + 1, 1), 1, (reach, 0)) if reach else 1 - full
    outside = F.max_pool2d(outside, (1, 2 * reach + 1), 1, (0, reach)) if reach else outside
    return 1 - F.max_pool2d(outside, stride)


def is_empty(mask: Tensor) -> bool:
    """Whether no position is in the region, to an 8-bit level."""
    return bool(mask.max() < 1 / 255)


@dataclass(frozen=True)
class Region:
    """The positions of the layers of a term that belong to a region of each image.

    Attributes:
        masks: of each layer, (N, 1, H', W'), from 0 to 1.
        key: equal for equal masks of one image.
    """

    masks: tuple[Tensor, ...]
    key: str

    @cached_property
    def weights(self) -> tuple[Tensor, ...]:
        """The masks with the mean 1, for losses that average over positions."""
        return tuple(mask / mask.mean(dim=(1, 2, 3), keepdim=True) for mask in self.masks)

    @cached_property
    def positions(self) -> tuple[Tensor, ...]:
        """Numbers (K,) of the positions of the first image, for losses that compare positions.

        Each belongs to the region or does not: it does where the mask has half of its largest
        value or more.
        """
        flat = [mask[0].flatten() for mask in self.masks]
        return tuple((each >= each.max() / 2).nonzero().flatten() for each in flat)

    @staticmethod
    def stacked(regions: Sequence[Region]) -> Region:
        """The regions of several images as one."""
        masks = zip(*(region.masks for region in regions), strict=True)
        return Region(tuple(torch.cat(each) for each in masks), regions[0].key)


def region_of(
    mask: Picture | None,
    shape: tuple[int, int],
    layers: Sequence[str],
    backbone: VGG,
    eroded: bool = False,
) -> Region | None:
    """The region of a mask at these layers, on the device of the backbone; None: no mask.

    Args:
        mask: of a picture.
        shape: (height, width) of the picture, px.
        layers: of a term of the loss.
        backbone: whose layers they are.
        eroded: as ``layer_mask`` takes it.
    """
    if mask is None:
        return None
    found = (layer_mask(mask, shape, layer, backbone.name, eroded) for layer in layers)
    masks = tuple(each.to(backbone.mean.device) for each in found)
    return Region(masks, f"{mask.sha256} {eroded}")


def described(
    loss: Loss, features: Sequence[Tensor], region: Region | None, rows: slice = slice(None)
) -> Tensor:
    """The description of the features in a region; None: of all.

    Args:
        loss: content or style loss.
        features: of each layer of a term, (N, C, rows, W').
        region: of the N images.
        rows: of the layer that these are, for a strip.
    """
    if region is None:
        return loss.describe(*features)
    if loss.takes_weights:
        return loss.describe_weighted(features, [each[:, :, rows] for each in region.weights])
    return loss.describe(*map(_select, features, region.positions))


def _select(features: Tensor, positions: Tensor) -> Tensor:
    """The features (N, C, H, W) at these positions (K,), as a column: (N, C, K, 1)."""
    found = features.permute(0, 2, 3, 1).flatten(1, 2).index_select(1, positions)
    return found.mT[..., None]
