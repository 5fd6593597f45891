"""Makes W&B sweep files from experiments: ``python -m nst.cli.wandb_sweeps [FOLDER]``.

Reads ``FOLDER/*.yaml`` and writes ``FOLDER/wandb/*.yml`` with a grid over the keys that the
experiment sweeps. The suffix keeps them out of Hydra's list of experiments.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from nst.config.compose import conf_dir
from nst.utils.files import write_whole

HEADER = """\
# Made from experiments/{name}.yaml by `python -m nst.cli.wandb_sweeps`: edit that one.
#   wandb sweep experiments/wandb/{name}.yml
#   wandb agent ENTITY/PROJECT/ID           as the first command prints it
"""


def sweep_file(name: str, declared: dict[str, Any]) -> str:
    """The W&B sweep of an experiment, as YAML.

    Args:
        name: of the experiment.
        declared: the contents of its file.
    """
    params = declared["hydra"]["sweeper"]["params"]
    texts = [f"{key}={value}" for key, value in params.items()]
    parsed = OverridesParser.create().parse_overrides(texts)
    sweep = {
        "name": name,
        "description": declared["experiment"]["title"],
        "project": "nst",
        "program": "nst",
        "method": "grid",
        "parameters": {
            override.get_key_element(): {"values": [_value(each) for each in _elements(override)]}
            for override in parsed
        },
        # RUN: each point of the grid is one run; the experiment's file sets MULTIRUN
        "command": [
            *("${env}", "${program}", f"+experiments={name}", "hydra.mode=RUN"),
            "${args_no_hyphens}",
        ],
    }
    return HEADER.format(name=name) + yaml.safe_dump(sweep, sort_keys=False, allow_unicode=True)


def _elements(override: Any) -> list[str]:
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]


def _value(text: str) -> int | float | str:
    """A number if it is one, which W&B draws on an axis; else text for Hydra."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def write(folder: Path) -> list[Path]:
    """Writes the sweep files of all experiments in a folder.

    Returns:
        Their paths.
    """
    (folder / "wandb").mkdir(exist_ok=True)
    written = []
    for path in sorted(folder.glob("*.yaml")):
        declared = yaml.safe_load(path.read_text(encoding="utf-8"))
        written.append(folder / "wandb" / f"{path.stem}.yml")
        write_whole(written[-1], sweep_file(path.stem, declared).encode())
    return written


if __name__ == "__main__":
    for each in write(Path(sys.argv[1] if sys.argv[1:] else f"{conf_dir()}/experiments").resolve()):
        print(each)
