"""Composes the jobs of a sweep: those that differ in plain values alone share a composition."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nst.config.overrides import parse

KEPT = 64
"""Compositions in memory, at most; each takes 0.4 MB."""


class Composer:
    """Composes as Hydra does, which first composes groups and then sets the values of keys.

    Args:
        loader: Hydra's.
        config: of the sweep, ``hydra`` included.
    """

    def __init__(self, loader: ConfigLoader, config: DictConfig) -> None:
        self._loader = loader
        self._config = config
        self._composed: dict[tuple[str, ...], DictConfig] = {}

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The config of a job.

        Raises:
            HydraException: if it cannot be composed.
        """
        parsed = [parse(each) for each in overrides]
        known = [each for each in parsed if each is not None]
        values = [each for each in known if self._is_value(each)]
        shared = [each for each in known if each not in values]
        # added and deleted keys are left to Hydra, and so are its messages
        if len(known) == len(parsed) and all(self._is_simple(each) for each in values):
            config = copy.deepcopy(self._shared([each.input_line or "" for each in shared]))
            try:
                for each in values:
                    OmegaConf.update(config, each.key_or_group, each.value(), merge=True)
            except OmegaConfBaseException:
                return self._loader.load_sweep_config(self._config, [*overrides])
            _record(config, [each for each in known if not each.is_hydra_override()])
            return config
        return self._loader.load_sweep_config(self._config, [*overrides])

    def _shared(self, overrides: list[str]) -> DictConfig:
        found = self._composed.get(tuple(overrides))
        if found is None:
            found = self._loader.load_sweep_config(self._config, overrides)
            while len(self._composed) >= KEPT:
                del self._composed[next(iter(self._composed))]
            self._composed[tuple(overrides)] = found
        return found

    def _is_value(self, override: Override) -> bool:
        """Whether Hydra sets it as the value of a key, after it has composed the groups."""
        if override.is_hydra_override():
            return False
        if isinstance(override.value(), dict):
            return True
        return not self._loader.get_group_options(override.key_or_group)

    def _is_simple(self, override: Override) -> bool:
        plain = not (override.is_add() or override.is_force_add() or override.is_delete())
        return plain and override.package is None and not override.is_sweep_override()


def _record(config: DictConfig, overrides: Sequence[Override]) -> None:
    """Records the overrides of a job where Hydra does."""
    config.hydra.overrides.task = [each.input_line for each in overrides]
    form = config.hydra.job.config.override_dirname
    config.hydra.job.override_dirname = get_overrides_dirname(
        overrides=list(overrides),
        kv_sep=form.kv_sep,
        item_sep=form.item_sep,
        exclude_keys=form.exclude_keys,
    )
