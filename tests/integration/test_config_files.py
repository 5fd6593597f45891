"""Config files: every one composes, and opens with a command that uses it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.types import RunMode
from omegaconf import OmegaConf

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
    added = "+" if path.parts[0] in GLOBAL else ""
    overrides = [f"{added}{path.parts[0]}={path.stem}"]
    if path.stem == "file":
        overrides.append("init.path=builtin:coffee")
    composed = config(*overrides)
    for key, value in (yaml.safe_load((CONF / path).read_text()) or {}).items():
        if path.parts[0] == "search" and key not in ("defaults", "hydra"):
            assert getattr(composed, key) == value
        elif hasattr(composed, path.parts[0]) and path.parts[0] not in SKIPPED:
            node = getattr(composed, path.parts[0])
            if value is not None:  # null: to be set by the user
                assert (node[key] if isinstance(node, dict) else getattr(node, key)) == value


@pytest.mark.parametrize("name", [path.stem for path in OPTIONS if path.parts[0] == "search"])
def test_searches_are_multiruns_of_the_sweeper_of_studies(name: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose("config", [f"+search={name}"], return_hydra_config=True)
    assert composed.hydra.mode == RunMode.MULTIRUN
    assert composed.hydra.sweeper._target_ == "hydra_plugins.nst_optuna.OptunaSweeper"
    assert composed.study == name


OTHER_DEFAULTS = {
    "content_loss": "self_similarity",
    "style_loss": "moments",
    "layers": "deep",
    "layer_weights": "gatys",
    "weights": "strong",
    "normalize": "textbook",
    "init": "style",
    "optimizer": "adam",
    "schedule": "quick",
    "backbone": "vgg16",
}


def test_experiments_do_not_depend_on_the_defaults(tmp_path: Path) -> None:
    """Their tables stay what they are when the default picture changes."""
    other = tmp_path / "conf"
    shutil.copytree(CONF, other)
    text = (other / "config.yaml").read_text()
    for group, option in OTHER_DEFAULTS.items():
        text, count = re.subn(f"(?m)^  - {group}: .*$", f"  - {group}: {option}", text)
        assert count == 1
    text = re.sub("(?m)^steps: 300", "steps: 7", re.sub("(?m)^  size: 256", "  size: 99", text))
    (other / "config.yaml").write_text(text)
    names = [path.stem for path in OPTIONS if path.parts[0] == "experiments"]
    found = []
    for folder in (CONF, other):
        with initialize_config_dir(str(folder), version_base="1.3"):
            jobs = [compose("config", [f"+experiments={name}"]) for name in names]
        found.append([OmegaConf.to_container(job, resolve=False) for job in jobs])
    assert len(names) > 10
    assert found[0] == found[1]


GLOBAL = ("experiments", "grain", "preset", "search")  # of the package _global_
SKIPPED = ("trainer", "logger", "backbone", "layers")  # resolved or written in another form
