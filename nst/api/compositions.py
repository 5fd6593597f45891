"""Composes configs as the command does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write

from nst.api.arguments import words
from nst.api.errors import errors_in_one_line
from nst.config import schema
from nst.config.compose import conf_dir, to_config
from nst.runner.loggers import stored


@errors_in_one_line
def compose(*overrides: str, **keys: Any) -> DictConfig:
    """The checked config of a run, without computing it.

    Args:
        *overrides: as on the command line, such as ``"weights.style=1e6"``.
        **keys: values by key, such as ``init="noise"`` or ``weights={"style": 1e6}``; see ``run``.

    Returns:
        The resolved config, as ``config.yaml`` has it.

    Raises:
        NstError: for wrong input, with the line that the command prints.

    Example:
        >>> nst.compose("schedule=single", image={"size": 64}).image.size
        64
    """
    with composed(words(overrides, keys)) as config:
        return stored(to_config(config))


@contextmanager
def composed(overrides: Sequence[str]) -> Iterator[DictConfig]:
    """The config of a single run; inside, ``HydraConfig`` is that of a job.

    Raises:
        HydraException, OmegaConfBaseException: if it cannot be composed.
    """
    schema.register()
    before = HydraConfig.instance().cfg
    try:
        with initialize_config_dir(conf_dir(), version_base="1.3"):
            hydra = GlobalHydra.instance().hydra
            assert hydra is not None
            config = hydra.compose_config("config", [*overrides], run_mode=RunMode.RUN)
        HydraConfig.instance().set_config(config)
        with read_write(config), open_dict(config):
            del config["hydra"]
        yield config
    finally:
        HydraConfig.instance().cfg = before
