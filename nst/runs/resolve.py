"""Looks up what a checked config names: device, precision, weights, optimiser."""

from __future__ import annotations

import inspect
import pkgutil
from functools import lru_cache, partial
from typing import Any

import torch
from lightning.fabric import Fabric

from nst.config.schema import Config
from nst.optim import PerImage
from nst.runs.trainer import ONE_DEVICE
from nst.transfer.run import Resolved
from nst.utils.errors import ConfigError
from nst.utils.single_process import OneProcess
from nst.vgg import weights

_load_weights = lru_cache(maxsize=1)(weights.load)  # a sweep in one process loads them once


def resolve(config: Config) -> Resolved:
    """Looks up what a checked config names.

    Raises:
        ConfigError: if there is no such device, weights or optimiser.
    """
    own, found = config.backbone, device(config.trainer)
    loaded = _load_weights(own.name, own.source, own.path, own.sha256, own.order)
    return Resolved(found, resolve_precision(config.precision, found), loaded, optimizer(config))


def device(trainer: Any) -> torch.device:
    """Where a Trainer with these arguments computes, by Lightning's own rules.

    Raises:
        ConfigError: if this machine has no such device, or for several devices.
    """
    given = trainer if isinstance(trainer, dict) else {}
    chosen = {name: given[name] for name in ("accelerator", "devices") if name in given}
    try:
        fabric = Fabric(**chosen, plugins=[OneProcess()])
    except Exception as error:  # Lightning's words, for the Trainer that the user configures
        reason = " ".join(str(error).split()).replace("Fabric(", "Trainer(")
        raise ConfigError("trainer", chosen, reason) from error
    if fabric.world_size > 1:
        raise ConfigError("trainer.devices", given.get("devices", fabric.world_size), ONE_DEVICE)
    return fabric.device


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


def optimizer(config: Config) -> partial[PerImage]:
    """The optimiser of the config, tried on a small image to find wrong settings.

    Raises:
        ConfigError: if it is not an optimiser of images, or does not take its arguments.
    """
    arguments = {key: value for key, value in config.optimizer.items() if key != "_target_"}
    try:
        found: Any = pkgutil.resolve_name(config.optimizer["_target_"])
        make = partial(found, **arguments)
        if not (inspect.isclass(found) and PerImage in found.__mro__):
            problem = "is not an optimizer of images, such as nst.optim.LBFGS and nst.optim.Adam"
            raise TypeError(f"_target_={config.optimizer['_target_']} {problem}")
        make([torch.nn.Parameter(torch.zeros(1, 3, 2, 2))])
    except (ValueError, TypeError, ImportError, KeyError, AttributeError) as error:
        raise ConfigError("optimizer", arguments, " ".join(str(error).split())) from error
    return make
