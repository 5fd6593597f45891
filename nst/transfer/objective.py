"""The objective of N images, each with its own losses, targets and weights, at one scale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nst import images
from nst.losses import Loss, spectrum_distance, total_variation
from nst.transfer.comparison import Comparison
from nst.transfer.guidance import Region
from nst.transfer.run import Run
from nst.transfer.schedule import Scale
from nst.transfer.targets import Target, content_targets, style_targets
from nst.vgg import architecture, tiling
from nst.vgg.network import VGG
from nst.vgg.tiling import Strip

FEATURE_TERMS = ("content", "style")
"""Terms that compare features; a loss is chosen for each."""


class Objective:
    """The weighted sum of the content, the style, the total variation and the spectrum.

    The weight of the style is multiplied by the scale's fraction (``Scale.style``). Where a run
    optimises lightness alone, the mean of the image's channels is evaluated.

    Args:
        backbone: feature extractor with taps for the layers of all runs.
        runs: N of them, one per image.
        scale: of the image; style pictures shrink by the same factor.
        device: where to compute.

    Attributes:
        magnitude: (N,), totals of images whose features are all 0: the scale of the objective.
    """

    def __init__(
        self, backbone: VGG, runs: Sequence[Run], scale: Scale, device: torch.device
    ) -> None:
        self.backbone = backbone
        self.device = device
        self.scale = scale
        self.shape = runs[0].shape(scale)
        self.grey = self._grey(runs)
        self.weights = {
            term: self._vector([getattr(run.config.weights, term) for run in runs])
            for term in (*FEATURE_TERMS, "tv", "spectrum")
        }
        self.weights["style"] *= scale.style
        self.weights["spectrum"] *= self._vector([run.uses_spectrum for run in runs])
        self.layer_weights: dict[str, Tensor] = {}
        self.comparisons: list[Comparison] = []
        for term in FEATURE_TERMS:
            self.layer_weights |= self._layer_weights(runs, term)
            self.comparisons += self._comparisons(runs, term)
        self.spectra = self._spectra(runs)
        self.magnitude = self._magnitude()
        self._compiled = None
        mode = runs[0].config.compile
        if mode is not None:
            # only a few versions of a function are kept: drop those of earlier objectives
            torch.compiler.reset()
            self._compiled = torch.compile(self._losses, mode=mode, dynamic=False, fullgraph=True)

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        """Losses of ``image`` (N, 3, H, W), RGB in [0, 1].

        Returns:
            (N,) each: ``total``; the unweighted terms ``content``, ``style``, ``tv`` and, if any
            run has it, ``spectrum``, whose weighted sum it is; and the terms of the content and the
            style loss, ``content/LAYER`` and ``style/LAYER``.
        """
        if (
            self._compiled is None or not torch.is_grad_enabled()
        ):  # evaluation is not worth compiling
            return self._losses(image)
        # cloned: the next call of a CUDA graph overwrites its results
        return {name: value.clone() for name, value in self._compiled(image).items()}

    def _losses(self, image: Tensor) -> dict[str, Tensor]:
        means, features = {}, {}
        if self.grey is not None:  # one gradient for the three channels keeps them equal
            image = torch.where(self.grey, image.mean(1, keepdim=True), image)
        for name, values in self.backbone.read(image, self._read).items():
            if name in self.backbone.taps:
                features[name] = tiling.joined([value for _, value in values])
            else:
                means[name] = tiling.mean(values)
        parts: dict[str, Tensor] = {}
        for each in self.comparisons:
            value = each.value(means, features, len(image))
            parts[each.name] = parts[each.name] + value if each.name in parts else value
        terms = {term: self._weighted(parts, term, image) for term in FEATURE_TERMS}
        terms["tv"] = total_variation(image, self.backbone.wraps)
        if self.spectra:
            found = [share * spectrum_distance(image, style) for style, share in self.spectra]
            terms["spectrum"] = torch.stack(found).sum(0)
        total = torch.stack([self.weights[name] * value for name, value in terms.items()]).sum(0)
        return {"total": total, **terms, **parts}

    def _read(self, layer: str, features: Tensor, strip: Strip) -> dict[str, Tensor]:
        """Means over the positions of a strip, and features of losses that need them whole."""
        found = {}
        for each in self.comparisons:
            if layer in each.layers:
                name = each.key if each.by_strip else layer
                found[name] = each.read(features, strip) if each.by_strip else features
        return found

    def _weighted(self, parts: dict[str, Tensor], term: str, image: Tensor) -> Tensor:
        own = {name: value for name, value in parts.items() if name.startswith(f"{term}/")}
        zero = image.new_zeros(len(image))
        return sum((self.layer_weights[name] * value for name, value in own.items()), start=zero)

    def _layer_weights(self, runs: Sequence[Run], term: str) -> dict[str, Tensor]:
        """(N,) per part that any of the runs has; 0 for runs that do not have it."""
        rows = [layer_weights(run, term, self.backbone) for run in runs]
        used = sorted({layer for row in rows for layer in row})
        return {
            f"{term}/{layer}": self._vector([row.get(layer, 0.0) for row in rows]) for layer in used
        }

    def _comparisons(self, runs: Sequence[Run], term: str) -> list[Comparison]:
        """The parts of a term, by name; images whose loss or target differs in kind apart."""
        groups: dict[tuple[Any, ...], dict[int, Target]] = {}
        for index, run in enumerate(runs):
            loss = run.loss(term)
            if loss is None:
                continue
            loss = loss.drawn(self.scale.draw)
            find = content_targets if term == "content" else style_targets
            of_name: Counter[str] = Counter()
            for target in find(run, loss, self.backbone, self.scale):
                # positions differ in number; weighted, they are alike
                region = target.region and ("" if loss.takes_weights else target.region.key)
                key = target.name, loss, target.value.shape, region, of_name[target.name]
                of_name[target.name] += 1  # an image has one target in each group
                groups.setdefault(key, {})[index] = target
        found = []
        for number, ((name, loss, *_), own) in enumerate(groups.items()):
            named = f"{term}/{name}"
            layers = runs[next(iter(own))].terms(term)[name]
            found.append(self._comparison(named, layers, loss, own, len(runs), number))
        return sorted(found, key=lambda each: each.name)

    def _comparison(
        self,
        name: str,
        layers: tuple[str, ...],
        loss: Loss,
        own: Mapping[int, Target],
        count: int,
        number: int,
    ) -> Comparison:
        """The comparison of some of ``count`` images, with their targets by index."""
        targets = list(own.values())
        shares, regions = [each.share for each in targets], [each.region for each in targets]
        region = regions[0]  # positions: of all of them
        if region is not None and loss.takes_weights:
            region = Region.stacked([each for each in regions if each])
        return Comparison(
            name,
            layers,
            loss,
            torch.cat([each.value for each in targets]),
            torch.tensor(list(own), device=self.device) if len(own) < count else None,
            f"{name} {number}",
            self._vector(shares) if set(shares) != {1.0} else None,
            region,
        )

    def _grey(self, runs: Sequence[Run]) -> Tensor | None:
        """(N, 1, 1, 1), which images are grey; None: none of them."""
        grey = [run.grey is not None for run in runs]
        return torch.tensor(grey, device=self.device)[:, None, None, None] if any(grey) else None

    def _spectra(self, runs: Sequence[Run]) -> list[tuple[Tensor, Tensor]]:
        """Style pictures of the runs at the size of the image, and their shares (N,).

        One pair for each style of the run with the most of them; empty: no run uses them.
        """
        used = [run.styles if run.uses_spectrum else () for run in runs]
        blank = torch.zeros(3, *self.shape)
        found = []
        for number in range(max(map(len, used))):
            own = [styles[number] if number < len(styles) else None for styles in used]
            pictures = [
                images.to_tensor(style.picture, *self.shape) if style else blank for style in own
            ]
            shares = self._vector([style.share if style else 0.0 for style in own])
            found.append((torch.stack(pictures).to(self.device), shares))
        return found

    def _magnitude(self) -> Tensor:
        count = len(self.weights["tv"])
        total = torch.zeros_like(self.weights["tv"])
        for each in self.comparisons:
            shapes = [(self.backbone.channels(name), *self._sides(name)) for name in each.layers]
            weight = self.weights[each.name.split("/")[0]] * self.layer_weights[each.name]
            total = total + weight * each.magnitude(shapes, count)
        return total

    def _sides(self, layer: str) -> tuple[int, int]:
        """(height, width) of the images' features at a layer."""
        stride = architecture.stride(layer)
        return self.shape[0] // stride, self.shape[1] // stride

    def _vector(self, values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device)


def layer_weights(run: Run, term: str, backbone: VGG) -> dict[str, float]:
    """Weight of each part of a run's content or style loss, over their number if averaged.

    ``equal``: 1. ``gatys``: 1000 / C², as in the code that Gatys et al. (2016) published.
    """
    config, parts = run.config, run.terms(term)
    layers = getattr(config.layers, term)
    rule = getattr(config.layer_weights, term)
    if rule == "equal":
        values = [1.0] * len(layers)
    elif rule == "gatys":
        values = [1e3 / backbone.channels(layer) ** 2 for layer in layers]
    else:
        values = [float(value) for value in rule]
    divisor = len(parts) if config.normalize.layers == "mean" else 1
    pairs = zip(layers, values, strict=True)
    return {layer: value / divisor for layer, value in pairs if layer in parts}
