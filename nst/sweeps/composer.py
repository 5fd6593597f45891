"""Composes the jobs of a sweep: those that differ in plain values alone share a composition."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

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
        self._values: dict[str, bool] = {}  # whether an override sets a value

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The config of a job.

        Raises:
            HydraException: if it cannot be composed.
        """
        found = self._divided(overrides)
        if found is not None:
            shared, values = found
            config = copy.deepcopy(self._shared(shared))
            if _set(config, values):
                parsed = [each for each in map(_parsed, overrides) if each is not None]
                _record(config, [each for each in parsed if not each.is_hydra_override()])
                return config
        return self._loader.load_sweep_config(self._config, [*overrides])

    def check(self, jobs: Iterable[Sequence[str]]) -> Iterator[Sequence[str]]:
        """Composes every combination of groups, and sets each value of other keys in one of them.

        Args:
            jobs: the overrides of each.

        Yields:
            Each job before it is composed, so that an error is known to be its own.

        Raises:
            HydraException: if it cannot be composed.
        """
        seen: set[str] = set()
        combinations: set[tuple[str, ...]] = set()
        last: tuple[str, ...] | None = None
        for job in jobs:
            found = self._divided(job)
            if found is None:
                yield job
                self._loader.load_sweep_config(self._config, [*job])
                continue
            shared, values = found
            if shared in combinations and seen.issuperset(job):
                continue
            yield job
            if shared != last:
                last, config = shared, copy.deepcopy(self._shared(shared))
            if not _set(config, [each for each in values if each.input_line not in seen]):
                self._loader.load_sweep_config(self._config, [*job])
            combinations.add(shared)
            seen.update(job)

    def _divided(self, overrides: Sequence[str]) -> tuple[tuple[str, ...], list[Override]] | None:
        """Those that Hydra composes, and the values that it then sets; None: Hydra has to do both.

        Added and deleted keys are left to Hydra, and so are its messages.
        """
        shared: list[str] = []
        values: list[Override] = []
        for each in overrides:
            parsed = _parsed(each)
            if parsed is None:
                return None
            if not self._is_value(each, parsed):
                shared.append(each)
            elif not _is_simple(parsed):
                return None
            else:
                values.append(parsed)
        return tuple(shared), values

    def _shared(self, overrides: tuple[str, ...]) -> DictConfig:
        found = self._composed.get(overrides)
        if found is None:
            found = self._loader.load_sweep_config(self._config, [*overrides])
            while len(self._composed) >= KEPT:
                del self._composed[next(iter(self._composed))]
            self._composed[overrides] = found
        return found

    def _is_value(self, text: str, override: Override) -> bool:
        """Whether Hydra sets it as the value of a key, after it has composed the groups."""
        if text not in self._values:
            self._values[text] = not override.is_hydra_override() and (
                isinstance(override.value(), dict)
                or not self._loader.get_group_options(override.key_or_group)
            )
        return self._values[text]


_parsed = cache(parse)


def _is_simple(override: Override) -> bool:
    plain = not (override.is_add() or override.is_force_add() or override.is_delete())
    return plain and override.package is None and not override.is_sweep_override()


def _set(config: DictConfig, values: Sequence[Override]) -> bool:
    """Sets values; whether their keys exist and have such values."""
    try:
        for each in values:
            OmegaConf.update(config, each.key_or_group, each.value(), merge=True)
    except OmegaConfBaseException:
        return False
    return True


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
