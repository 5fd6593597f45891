"""The objective of N images, each with its own targets and weights, at one scale."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nst import images, losses
from nst.transfer import targets
from nst.transfer.run import Run
from nst.transfer.schedule import Scale
from nst.vgg import tiling
from nst.vgg.network import VGG
from nst.vgg.tiling import Strip


class Objective:
    """weights.content · content + weights.style · style + weights.tv · tv, for each image.

    The weight of the style is multiplied by the scale's fraction (``Scale.style``).

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
        self.weights = {
            term: self._vector([getattr(run.config.weights, term) for run in runs])
            for term in ("content", "style", "tv")
        }
        self.weights["style"] *= scale.style
        self.content_weights = self._layer_weights(runs, "content")
        self.style_weights = self._layer_weights(runs, "style")
        self.content_targets = self._content_targets(runs, scale)
        self.style_targets = self._style_targets(runs, scale)
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
            (N,) each: ``total``; the unweighted terms ``content``, ``style`` and ``tv``, whose
            weighted sum it is; and each layer's loss, ``content/LAYER`` and ``style/LAYER``.
        """
        if (
            self._compiled is None or not torch.is_grad_enabled()
        ):  # evaluation is not worth compiling
            return self._losses(image)
        # cloned: the next call of a CUDA graph overwrites its results
        return {name: value.clone() for name, value in self._compiled(image).items()}

    def _losses(self, image: Tensor) -> dict[str, Tensor]:
        read = self.backbone.read(image, self._statistics)
        means = {name: tiling.mean(values) for name, values in read.items()}
        content = {layer: means[f"content/{layer}"] for layer in self.content_targets}
        style = {
            layer: losses.style_loss(means[f"gram/{layer}"], target)
            for layer, target in self.style_targets.items()
        }
        terms = {
            "content": self._weighted(content, self.content_weights, image),
            "style": self._weighted(style, self.style_weights, image),
            "tv": losses.total_variation(image),
        }
        total = torch.stack([self.weights[name] * value for name, value in terms.items()]).sum(0)
        return {
            "total": total,
            **terms,
            **{f"content/{layer}": value for layer, value in content.items()},
            **{f"style/{layer}": value for layer, value in style.items()},
        }

    def _statistics(self, layer: str, features: Tensor, strip: Strip) -> dict[str, Tensor]:
        """Means over the positions of a strip, from which the losses are computed."""
        found = {}
        if layer in self.content_targets:
            target = self.content_targets[layer][:, :, strip.rows]
            found[f"content/{layer}"] = losses.content_loss(features, target)
        if layer in self.style_targets:
            found[f"gram/{layer}"] = losses.gram_matrix(features)
        return found

    def _weighted(
        self, values: dict[str, Tensor], weights: dict[str, Tensor], image: Tensor
    ) -> Tensor:
        zero = image.new_zeros(len(image))
        return sum((weights[layer] * value for layer, value in values.items()), start=zero)

    def _layer_weights(self, runs: Sequence[Run], term: str) -> dict[str, Tensor]:
        """(N,) per layer that any of the runs uses; 0 for runs that do not use it."""
        rows = [layer_weights(run, term, self.backbone) for run in runs]
        used = sorted({layer for row in rows for layer in row})
        return {layer: self._vector([row.get(layer, 0.0) for row in rows]) for layer in used}

    def _content_targets(self, runs: Sequence[Run], scale: Scale) -> dict[str, Tensor]:
        """Features (N, C, H', W') per layer; zeros, with weight 0, for runs without content."""
        layers = list(self.content_weights)
        shape = runs[0].shape(scale)
        rows = [
            targets.features(self.backbone, run.content, shape, layers) if run.content else None
            for run in runs
        ]
        return _stacked(layers, rows)

    def _style_targets(self, runs: Sequence[Run], scale: Scale) -> dict[str, Tensor]:
        """Gram matrices (N, C, C) per layer; style pictures keep their own shapes."""
        layers = list(self.style_weights)
        rows: list[dict[str, Tensor] | None] = []
        for run in runs:
            if run.style is None:
                rows.append(None)
                continue
            size = run.config.style.size or run.config.image.size
            shape = images.fit(run.style.image.size, round(size * scale.fraction))
            rows.append(targets.gram_matrices(self.backbone, run.style, shape, layers))
        return _stacked(layers, rows)

    def _magnitude(self) -> Tensor:
        total = torch.zeros_like(self.weights["tv"])
        for term, layers, found in (
            ("content", self.content_weights, self.content_targets),
            ("style", self.style_weights, self.style_targets),
        ):
            for layer, target in found.items():
                total = total + self.weights[term] * layers[layer] * _mean_square(target)
        return total

    def _vector(self, values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device)


def _mean_square(target: Tensor) -> Tensor:
    """(N,), of (N, …); by a norm, which needs no second tensor of that size."""
    dtype = torch.promote_types(target.dtype, torch.float32)
    norm = torch.linalg.vector_norm(target, dim=tuple(range(1, target.dim())), dtype=dtype)
    return norm.square() / target[0].numel()


def _stacked(layers: Sequence[str], rows: Sequence[dict[str, Tensor] | None]) -> dict[str, Tensor]:
    """(N, …) per layer, from (1, …) of each run; zeros for runs without."""
    found = {}
    for layer in layers:
        like = next(row[layer] for row in rows if row is not None)
        values = [torch.zeros_like(like) if row is None else row[layer] for row in rows]
        found[layer] = torch.cat(values)
    return found


def layer_weights(run: Run, term: str, backbone: VGG) -> dict[str, float]:
    """Weight of each layer in a run's content or style loss, over their number if averaged.

    ``equal``: 1. ``gatys``: 1000 / C², as in the code that Gatys et al. (2016) published.
    """
    config = run.config
    if not (config.uses_content if term == "content" else config.uses_style):
        return {}
    layers = getattr(config.layers, term)
    rule = getattr(config.layer_weights, term)
    if rule == "equal":
        values = [1.0] * len(layers)
    elif rule == "gatys":
        values = [1e3 / backbone.channels(layer) ** 2 for layer in layers]
    else:
        values = [float(value) for value in rule]
    divisor = len(layers) if config.normalize.layers == "mean" else 1
    return {layer: value / divisor for layer, value in zip(layers, values, strict=True)}
