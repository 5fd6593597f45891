"""Config files: every one composes, and opens with a command that uses it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from nst.config.compose import conf_dir
from tests.helpers import config

CONF = Path(conf_dir())
EXPERIMENTS = (CONF / "experiments").glob("*.yaml")  # a link, which rglob does not follow
FILES = sorted({path.relative_to(CONF) for path in (*CONF.rglob("*.yaml"), *EXPERIMENTS)})
OPTIONS = [path for path in FILES if len(path.parts) == 2]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_config_file_opens_with_a_command_that_uses_it(path: Path) -> None:
    lines = (CONF / path).read_text().splitlines()
    first = lines[1] if lines[0] == "# @package _global_" else lines[0]  # Hydra reads that one
    assert first.startswith("#")
    assert "nst " in first
    if path in OPTIONS:
        assert f"{path.parts[0]}={path.stem}" in first or path.parts[0] in ("trainer", "logger")


@pytest.mark.parametrize("path", OPTIONS, ids=str)
def test_every_option_composes(path: Path) -> None:
    added = "+" if path.parts[0] in ("experiments", "preset") else ""
    overrides = [f"{added}{path.parts[0]}={path.stem}"]
    if path.stem == "file":
        overrides.append("init.path=builtin:coffee")
    composed = config(*overrides)
    for key, value in (yaml.safe_load((CONF / path).read_text()) or {}).items():
        if hasattr(composed, path.parts[0]) and path.parts[0] not in SKIPPED:
            node = getattr(composed, path.parts[0])
            if value is not None:  # null: to be set by the user
                assert (node[key] if isinstance(node, dict) else getattr(node, key)) == value


SKIPPED = ("trainer", "logger", "backbone", "layers")  # resolved or written in another form
