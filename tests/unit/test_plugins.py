"""Hydra's plugins."""

from __future__ import annotations

import inspect
import tomllib
from importlib import import_module
from pathlib import Path

from hydra.plugins.plugin import Plugin

ROOT = Path(__file__).parents[2]


def test_every_plugin_is_an_entry_point() -> None:
    """Hydra 1.4 finds them there, 1.3 in the namespace package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]["hydra.plugins"]
    expected = {}
    for folder in sorted((ROOT / "hydra_plugins").glob("*/__init__.py")):
        name = f"hydra_plugins.{folder.parent.name}"
        (plugin,) = [
            each
            for _, each in inspect.getmembers(import_module(name), inspect.isclass)
            if issubclass(each, Plugin) and each.__module__ == name
        ]
        expected[folder.parent.name] = f"{name}:{plugin.__name__}"
    assert points == expected
