"""Hydra's compositions, remembered: a test that composes the same groups again waits for no file.

What a config is made of depends on the groups that are chosen, which most tests of a file have in
common. Overrides of values are parsed and applied each time, by Hydra itself.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hydra._internal import config_loader_impl as loader
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.defaults_list import DefaultsList, Overrides
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf

from nst.config.schema import Config


@contextmanager
def remembered() -> Iterator[None]:
    """Until its end, each choice of groups is read and merged once; files must stay as they are."""
    lists: dict[str, DefaultsList] = {}
    configs: dict[str, bytes] = {}  # pickled: a copy by copy.deepcopy takes four times as long
    files: dict[str, bytes] = {}
    own = pickle.dumps(OmegaConf.structured(Config))
    create = loader.create_defaults_list  # type: ignore[attr-defined]
    compose = loader.ConfigLoaderImpl._compose_config_from_defaults_list
    load = ConfigRepository.load_config
    structured = OmegaConf.structured

    def file(self: ConfigRepository, config_path: str) -> ConfigResult | None:
        key = repr((_places(self), config_path))
        if key not in files:
            files[key] = pickle.dumps(load(self, config_path))
        found: ConfigResult | None = pickle.loads(files[key])
        return found

    def defaults_list(
        repo: Any, config_name: str | None, overrides_list: list[Override], **options: bool
    ) -> DefaultsList:
        asked = Overrides(repo, overrides_list)
        groups = (asked.override_choices, asked.append_group_defaults, asked.deletions)
        key = repr((_places(repo), config_name, options, groups))
        if key not in lists:
            lists[key] = create(repo, config_name, overrides_list, **options)
        known = lists[key]
        return DefaultsList(
            known.defaults, known.defaults_tree, asked.config_overrides, known.overrides
        )

    def config(self: Any, defaults: list[ResultDefault], repo: Any) -> DictConfig:
        key = repr((_places(repo), defaults))
        if key not in configs:
            configs[key] = pickle.dumps(compose(self, defaults, repo))
        found: DictConfig = pickle.loads(configs[key])
        return found

    def schema(obj: Any, *given: Any, **more: Any) -> Any:
        plain = obj is Config and not given and not more
        return pickle.loads(own) if plain else structured(obj, *given, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConfigRepository, "load_config", file)
        patch.setattr(OmegaConf, "structured", schema)
        patch.setattr(loader, "create_defaults_list", defaults_list)
        patch.setattr(loader.ConfigLoaderImpl, "_compose_config_from_defaults_list", config)
        yield


def _places(repo: Any) -> list[tuple[str, str]]:
    return [(source.provider, source.path) for source in repo.get_sources()]
