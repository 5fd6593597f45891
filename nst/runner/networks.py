"""The feature extractors of a batch."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from nst.config.schema import Config
from nst.transfer.run import Run
from nst.utils.errors import ConfigError, NstError
from nst.vgg.calibration import activation_means
from nst.vgg.network import VGG
from nst.vgg.weights import Weights

_activation_means = lru_cache(maxsize=2)(activation_means)

_convolutions: dict[tuple[Any, ...], dict[str, nn.Module]] = {}
"""Convolutions of the last batch by layer, by everything that they depend on."""


def means(config: Config, weights: Weights) -> list[float] | None:
    """The mean activations that the convolutions are divided by; None: as trained.

    Raises:
        ConfigError: if a layer never activates on photographs.
    """
    if not config.normalize.activations:
        return None
    found = _activation_means(weights, config.backbone.name, config.backbone.pooling)
    if not all(0 < mean < float("inf") for mean in found):
        problem = "a layer never activates on photographs; normalize=textbook does not divide by it"
        raise ConfigError("backbone.path", config.backbone.path, problem)
    return found


def network(
    run: Run,
    taps: Collection[str],
    precision: str | None = None,
    convolutions: dict[str, nn.Module] | None = None,
) -> VGG:
    """The feature extractor of a run, on the CPU.

    Args:
        run: or any of its batch.
        taps: canonical layer names.
        precision: ``32`` or ``bf16``; None: the run's.
        convolutions: by layer, of an extractor to share them with; see ``VGG``.
    """
    config, resolved = run.config, run.resolved
    return VGG(
        resolved.weights,
        config.backbone.name,
        taps,
        config.backbone.pooling,
        config.backbone.padding,
        means(config, resolved.weights),
        dtype=torch.bfloat16 if (precision or resolved.precision) == "bf16" else torch.float32,
        tiling=config.backbone.tiling,
        winograd=_winograd(config, resolved.device),
        convolutions=convolutions,
    )


def _winograd(config: Config, device: torch.device) -> bool:
    # Winograd's steps between PyTorch's kernels would be compiled in pieces, and round more
    return device.type == "cpu" and config.compile is None


@contextmanager
def networks(
    run: Run, taps: Collection[str], precisions: Collection[str]
) -> Iterator[dict[str, VGG]]:
    """The feature extractors of a run's batch by precision, see ``network``.

    Preparing the convolutions takes longer than a short run. Those of the last batch are reused
    where they are the same; all others are freed before new ones are prepared.
    """
    config, resolved = run.config, run.resolved
    scales = tuple(means(config, resolved.weights) or ())
    own, winograd = config.backbone, _winograd(config, resolved.device)
    shared = (resolved.weights.sha256, own.name, own.padding, scales, winograd)
    kept = {(*shared, each): _convolutions.get((*shared, each), {}) for each in precisions}
    _convolutions.clear()
    try:
        yield {
            each: network(run, taps, each, convolutions=kept[*shared, each]) for each in precisions
        }
    except NstError:  # diverged, for example
        _convolutions.update(kept)
        raise
    # not after other errors, which may leave them on two devices
    _convolutions.update(kept)
