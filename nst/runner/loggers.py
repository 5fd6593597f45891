"""The loggers that a config names."""

from __future__ import annotations

from typing import Any

from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from nst.config import overrides
from nst.config.schema import Config
from nst.utils.errors import ArgumentError, ConfigError
from nst.utils.files import escaped


def build_loggers(config: Config) -> list[Logger]:
    """The loggers of an identified run. None of them has made a file or a connection yet.

    Raises:
        ConfigError: for settings that a logger does not take.
    """
    if not config.logger:
        return []
    nodes = as_dictconfig(config).logger
    return [_build(node, f"logger.{name}") for name, node in nodes.items()]


def as_dictconfig(config: Config) -> DictConfig:
    """The config with the interpolations of its loggers; all other values are literal."""
    return OmegaConf.create({**overrides.literal(config.asdict()), "logger": config.logger})


def stored(config: Config) -> DictConfig:
    """The same without bytes that are not UTF-8, which neither YAML nor W&B accepts."""
    values = overrides.on_texts(escaped, {**config.asdict(), "logger": None})
    logger = overrides.on_texts(escaped, config.logger)
    return OmegaConf.create({**overrides.literal(values), "logger": logger})


def _build(node: Any, key: str) -> Logger:
    if not isinstance(node, DictConfig) or "_target_" not in node:
        raise ConfigError(key, node, "needs a _target_, as the files of its group in conf/ have")
    try:
        found: Logger = instantiate(node)
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, ConfigError):
            raise cause from None
        if isinstance(cause, ArgumentError):
            raise ConfigError(f"{key}.{cause.name}", cause.value, cause.problem) from error
        reason = " ".join(str(cause).split())
        raise ConfigError(key, node.get("_target_"), reason) from error
    return found
