"""From Hydra's composed config to a checked ``Config``."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

import nst
from nst.config import checks, overrides
from nst.config.schema import Config
from nst.utils.errors import ConfigError, listed
from nst.vgg import architecture


def conf_dir() -> str:
    """The folder ``conf/``: beside the package in a checkout, inside it in a wheel."""
    inside = Path(nst.__file__).parent / "conf"
    return str(inside if inside.is_dir() else inside.parents[1] / "conf")


def check_links() -> None:
    """Checks that the folder ``conf/experiments``, a link in a checkout, is one.

    Raises:
        ConfigError: if it is a file, which git makes of a link where it may not make links.
    """
    link = Path(conf_dir(), "experiments")
    if link.is_file():
        problem = "a file in place of a link; allow git to make links (Windows: Developer Mode), "
        problem += "then: git config core.symlinks true && git checkout -- conf/experiments"
        raise ConfigError("conf/experiments", link.read_text(encoding="utf-8"), problem)


def to_config(cfg: DictConfig) -> Config:
    """The checked config of one run, with canonical layer names.

    Raises:
        ConfigError: for the first wrong value.
    """
    _refuse_added_keys(cfg)
    removed = {item.name for item in fields(Config)} - {str(key) for key in cfg}
    for key in sorted({*removed, *OmegaConf.missing_keys(cfg)}):
        raise ConfigError(key, "???", "must be set")
    # merged with the schema again: an interpolation may resolve to a value of any type
    resolved = OmegaConf.to_container(cfg, resolve=True)
    literal: Any = overrides.literal(resolved)
    config = OmegaConf.to_object(OmegaConf.merge(_schema(), literal))
    assert isinstance(config, Config)
    # unresolved: a logger's config refers to config.run, which is filled in later
    config.logger = OmegaConf.to_container(cfg, resolve=False)["logger"]  # type: ignore[index,call-overload]
    checks.check(config)
    for term in ("content", "style"):
        names = getattr(config.layers, term)
        canonical = [architecture.canonical(name, config.backbone.name) for name in names]
        setattr(config.layers, term, canonical)
    return config


@cache  # 40 ms
def _schema() -> DictConfig:
    return OmegaConf.structured(Config)


def _refuse_added_keys(cfg: DictConfig, prefix: str = "") -> None:
    """Refuses keys that ``+key=value`` added although the schema does not have them."""
    schema_type = OmegaConf.get_type(cfg)
    for key, node in cfg.items_ex(resolve=False):
        name = f"{prefix}{key!s}"
        if is_dataclass(schema_type):
            allowed = [item.name for item in fields(schema_type)]
            if key not in allowed:
                raise ConfigError(name, _shown(node), f"no such key; allowed: {listed(allowed)}")
            if isinstance(node, DictConfig):
                _refuse_added_keys(node, f"{name}.")


def _shown(node: object) -> object:
    return OmegaConf.to_container(node) if OmegaConf.is_config(node) else node
