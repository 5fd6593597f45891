"""What a checked config names: weights, device, optimiser, loggers."""

from __future__ import annotations

import inspect
import logging
import pkgutil
import warnings
import weakref
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

import torch
from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf
from torch import nn

from nst.config import overrides
from nst.config.schema import Config
from nst.optim import PerImage
from nst.runs.trainer import build_trainer
from nst.transfer.run import Run
from nst.utils.errors import ArgumentError, ConfigError, NstError
from nst.vgg import weights
from nst.vgg.calibration import activation_means
from nst.vgg.network import VGG
from nst.vgg.weights import Weights

# Importing Lightning made it talkative; its tips and device lines would hide the run's own.
for _name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
    logging.getLogger(_name).setLevel(logging.WARNING)
logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)  # their summaries
warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)`")  # Lightning's own

_load_weights = lru_cache(maxsize=1)(weights.load)  # a sweep in one process loads them once
_activation_means = lru_cache(maxsize=2)(activation_means)


def pretrained(config: Config) -> Weights:
    """The backbone's weights."""
    backbone = config.backbone
    return _load_weights(
        backbone.name, backbone.source, backbone.path, backbone.sha256, backbone.order
    )


def means(config: Config, loaded: Weights) -> list[float] | None:
    """What activations are divided by."""
    if not config.normalize.activations:
        return None
    found = _activation_means(loaded, config.backbone.name, config.backbone.pooling)
    if not all(0 < mean < float("inf") for mean in found):
        problem = "a layer never activates on photographs; normalize=textbook goes without"
        raise ConfigError("backbone.path", config.backbone.path, problem)
    return found


def backbone(
    config: Config,
    taps: Collection[str],
    precision: str,
    device: torch.device,
    convolutions: dict[str, nn.Module] | None = None,
) -> VGG:
    """The feature extractor with these taps, for a resolved precision and a kind of device.

    Args:
        config: of the run.
        taps: canonical layer names.
        precision: ``32`` or ``bf16``.
        device: where it is to compute.
        convolutions: by layer, of an extractor to share them with; see ``VGG``.
    """
    loaded, own = pretrained(config), config.backbone
    return VGG(
        loaded,
        own.name,
        taps,
        own.pooling,
        own.padding,
        means(config, loaded),
        dtype=torch.bfloat16 if precision == "bf16" else torch.float32,
        tiling=own.tiling,
        winograd=_winograd(config, device),
        convolutions=convolutions,
    )


def _winograd(config: Config, device: torch.device) -> bool:
    # Winograd's steps between PyTorch's kernels would be compiled in pieces, and round more
    return device.type == "cpu" and config.compile is None


_convolutions: dict[tuple[Any, ...], dict[str, nn.Module]] = {}
"""Convolutions of the last batch, by layer, by all that they depend on."""


@contextmanager
def backbones(
    config: Config, taps: Collection[str], precisions: Collection[str], device: torch.device
) -> Iterator[dict[str, VGG]]:
    """The feature extractors of a batch, by resolved precision: see ``backbone``.

    Preparing the convolutions takes longer than a short run. Those that the last batch had as well
    are used again; all others are freed before new ones are prepared.
    """
    loaded, own = pretrained(config), config.backbone
    scales = tuple(means(config, loaded) or ())
    shared = (loaded.sha256, own.name, own.padding, scales, _winograd(config, device))
    kept = {(*shared, each): _convolutions.get((*shared, each), {}) for each in precisions}
    _convolutions.clear()
    try:
        yield {
            each: backbone(config, taps, each, device, kept[*shared, each]) for each in precisions
        }
    except NstError:  # diverged, for example
        _convolutions.update(kept)
        raise
    # after any other error they may be on two devices, or converted: they are not used again
    _convolutions.update(kept)


def take_apart(trainer: Any) -> None:
    """Ends the use of a Trainer.

    Its parts refer to it, and the module to all of them. What a run computed with would stay in
    memory until Python searches for such cycles, many runs later.
    """
    vars(trainer).clear()


def device(config: Config) -> torch.device:
    """Where the config's Trainer computes."""
    made = build_trainer(config)
    found: torch.device = made.strategy.root_device
    take_apart(made)
    return found


def resolve_precision(precision: str, device: torch.device) -> str:
    """``32`` or ``bf16``; ``auto`` takes bfloat16 where the hardware multiplies it natively."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    if device.type == "cpu":
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return "bf16" if native else "32"
    return "32"


def precision(config: Config) -> str:
    """``32`` or ``bf16``."""
    return resolve_precision(config.precision, device(config))


def loggers(run: Run) -> list[Logger]:
    """The loggers of a run, which tell nobody of it yet. Each is ended once.

    A run ends its loggers with how it ended; the Trainer would end them again.
    """
    nodes = as_dictconfig(run.config).logger or {}
    found = [_build(node, f"logger.{key}") for key, node in nodes.items()]
    for logger in found:
        logger.finalize = _finalize_once(logger)
    return found


def _finalize_once(logger: Logger) -> Callable[[str], None]:
    ended, own = False, weakref.ref(logger)  # not itself: it would stay in memory

    def finalize(status: str) -> None:
        nonlocal ended
        made = own()
        if made is not None and not ended:
            ended = True
            type(made).finalize(made, status)

    return finalize


def optimizer(config: Config) -> partial[PerImage]:
    """The optimiser of the config, tried once on a small image: wrong settings show up here."""
    arguments = {key: value for key, value in config.optimizer.items() if key != "_target_"}
    try:
        found: Any = pkgutil.resolve_name(config.optimizer["_target_"])
        make = partial(found, **arguments)
        if not (inspect.isclass(found) and PerImage in found.__mro__):
            problem = "is no optimizer of images, as nst.optim.LBFGS and nst.optim.Adam are"
            raise TypeError(f"_target_={config.optimizer['_target_']} {problem}")
        make([torch.nn.Parameter(torch.zeros(1, 3, 2, 2))])
    except (ValueError, TypeError, ImportError, KeyError, AttributeError) as error:
        raise ConfigError("optimizer", arguments, " ".join(str(error).split())) from error
    return make


def as_dictconfig(config: Config) -> DictConfig:
    """The config with the references of its loggers; all else is as it is."""
    return OmegaConf.create({**overrides.literal(config.asdict()), "logger": config.logger})


def _build(node: Any, key: str, **arguments: object) -> Any:
    if not isinstance(node, DictConfig) or "_target_" not in node:
        raise ConfigError(key, node, "needs a _target_, as the files of its group in conf/ have")
    try:
        return instantiate(node, **arguments)
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, ConfigError):
            raise cause from None
        if isinstance(cause, ArgumentError):
            raise ConfigError(f"{key}.{cause.name}", cause.value, cause.problem) from error
        reason = " ".join(str(cause).split())
        raise ConfigError(key, node.get("_target_"), reason) from error
