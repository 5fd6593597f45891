"""What the losses of a run compare its image with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from nst.losses import Loss
from nst.transfer.descriptions import descriptions
from nst.transfer.guidance import Region, region_of
from nst.transfer.run import Run, Style
from nst.transfer.schedule import Scale
from nst.vgg import architecture
from nst.vgg.network import VGG


@dataclass(frozen=True)
class Target:
    """What a term of a run's loss is compared with.

    Attributes:
        name: of the term.
        value: prepared description, (1, …).
        share: factor of the distance.
        region: the positions of the image that it is for; None: all.
    """

    name: str
    value: Tensor
    share: float = 1.0
    region: Region | None = None


def content_targets(run: Run, loss: Loss, backbone: VGG, scale: Scale) -> list[Target]:
    """The targets of a run's content loss: one for each term."""
    picture = run.optimised_content
    assert picture is not None
    shape, terms = run.shape(scale), run.terms("content")
    found = descriptions(loss, backbone, picture, shape, terms)
    return [
        Target(name, loss.prepare(value, _positions(shape, terms[name])))
        for name, value in found.items()
    ]


def style_targets(run: Run, loss: Loss, backbone: VGG, scale: Scale) -> list[Target]:
    """The targets of a run's style loss: one for each term and style.

    One for all styles of a mix where the loss can mix their descriptions.
    """
    terms = run.terms("style")
    described = [_described(run, style, loss, backbone, scale) for style in run.styles]
    if len(run.styles) > 1 and not run.guided:
        shares = [style.share for style in run.styles]
        mixed = {name: loss.mixed([each[name] for each in described], shares) for name in terms}
        known = {name: value for name, value in mixed.items() if value is not None}
        if len(known) == len(terms):
            shape = run.shape(scale)
            return [
                Target(name, loss.prepare(value, _positions(shape, terms[name])))
                for name, value in known.items()
            ]
    return [
        target
        for style, found in zip(run.styles, described, strict=True)
        for target in _of_style(run, style, found, loss, backbone, scale)
    ]


def _of_style(
    run: Run,
    style: Style,
    described: Mapping[str, Tensor],
    loss: Loss,
    backbone: VGG,
    scale: Scale,
) -> list[Target]:
    """The targets of one style, for its region."""
    found, shape, eroded = [], run.shape(scale), run.config.guidance.erode
    for name, value in described.items():
        layers = run.terms("style")[name]
        region = region_of(style.region, shape, layers, backbone, eroded)
        positions = _positions(shape, layers)
        if region is not None and not loss.takes_weights:
            positions = len(region.positions[0])
        prepared = loss.prepare(value, positions)
        found.append(Target(name, prepared, style.share, region))
    return found


def _described(
    run: Run, style: Style, loss: Loss, backbone: VGG, scale: Scale
) -> dict[str, Tensor]:
    shape, terms = run.style_shape(style, scale), run.terms("style")
    eroded = run.config.guidance.erode
    regions = {
        name: region_of(style.source, shape, layers, backbone, eroded)
        for name, layers in terms.items()
    }
    # the borders of a style picture do not fit together, whether or not the image wraps around
    return descriptions(loss, backbone.unwrapped(), style.picture, shape, terms, regions)


def _positions(shape: tuple[int, int], layers: tuple[str, ...]) -> int:
    """Positions of the first of these layers for a picture of a shape (height, width)."""
    stride = architecture.stride(layers[0])
    return (shape[0] // stride) * (shape[1] // stride)
