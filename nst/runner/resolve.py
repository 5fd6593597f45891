"""Looks up what a checked config names: device, precision, weights, optimiser."""

from __future__ import annotations

import inspect
import json
import pkgutil
from functools import cache, lru_cache, partial
from typing import Any

import torch
from lightning.fabric import Fabric

from nst.config.schema import Config
from nst.losses import ContentLoss, Loss, StyleLoss
from nst.optim import PerImage
from nst.runner.trainer import ONE_DEVICE
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
    style_loss, content_loss = loss(config, "style"), loss(config, "content")
    assert isinstance(style_loss, StyleLoss)
    return Resolved(
        device=found,
        precision=resolve_precision(config.precision, found),
        weights=loaded,
        optimizer=optimizer(config),
        content_loss=content_loss if isinstance(content_loss, ContentLoss) else None,
        style_loss=style_loss,
    )


def default_weights() -> weights.Weights:
    """The weights of runs that choose none: of VGG-19, embedded.

    Raises:
        ConfigError: if they are missing or damaged.
    """
    return _load_weights("vgg19", "embedded", None, None, "rgb")


def device(trainer: Any) -> torch.device:
    """Where a Trainer with these arguments computes, by Lightning's own rules.

    Raises:
        ConfigError: if this machine has no such device, or for several devices.
    """
    given = trainer if isinstance(trainer, dict) else {}
    chosen = {name: given[name] for name in ("accelerator", "devices") if name in given}
    return _device(json.dumps(chosen))


@cache  # Lightning looks for the devices of this machine: 20 ms
def _device(arguments: str) -> torch.device:
    chosen = json.loads(arguments)
    try:
        fabric = Fabric(**chosen, plugins=[OneProcess()])
    except Exception as error:  # Lightning's words, for the Trainer that the user configures
        reason = " ".join(str(error).split()).replace("Fabric(", "Trainer(")
        raise ConfigError("trainer", chosen, reason) from error
    if fabric.world_size > 1:
        raise ConfigError("trainer.devices", chosen.get("devices", fabric.world_size), ONE_DEVICE)
    return fabric.device


def resolve_precision(precision: str, device: torch.device) -> str:
    """``32`` or ``bf16``; ``auto`` takes bfloat16 where the hardware multiplies it natively."""
    if precision != "auto":
        return precision
    return "bf16" if device.type in bfloat16_devices() else "32"


def bfloat16_devices() -> list[str]:
    """Types of devices of this machine that multiply bfloat16 natively."""
    found = []
    if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        found.append("cpu")
    if torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False):
        found.append("cuda")
    return found


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


def loss(config: Config, term: str) -> Loss | None:
    """The ``content`` or ``style`` loss of the config; None: switched off.

    Raises:
        ConfigError: if it is not such a loss, or does not take its arguments or layers.
    """
    key = f"{term}_loss"
    node = getattr(config, key)
    arguments = {name: value for name, value in node.items() if name not in ("_target_", "name")}
    kind = ContentLoss if term == "content" else StyleLoss
    if node["_target_"] is None and kind is ContentLoss:
        return None
    try:
        found: Any = pkgutil.resolve_name(node["_target_"])
        if not (inspect.isclass(found) and issubclass(found, kind)):
            raise TypeError(f"_target_={node['_target_']} is not a subclass of {kind.__name__}")
        if "__dataclass_params__" not in vars(found):
            raise TypeError(f"_target_={node['_target_']} needs the line @dataclass(frozen=True)")
        made: Loss = found(**arguments)
        if not made.scale > 0:
            raise ValueError(f"scale={made.scale}: must be a number above 0")
        layers = getattr(config.layers, term)
        used = config.has_content_loss if term == "content" else config.uses_style
        if used and not made.terms(layers):
            raise ConfigError(f"layers.{term}", layers, f"too few layers for {found.__name__}")
    except (ValueError, TypeError, ImportError, AttributeError) as error:
        raise ConfigError(key, arguments, " ".join(str(error).split())) from error
    return made
