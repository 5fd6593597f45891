"""Makes W&B sweep files: ``python -m nst.cli.wandb_sweeps [FOLDER]``.

Reads ``FOLDER/*.yaml``, by default those of ``experiments/`` and ``conf/search/``, and writes
``FOLDER/wandb/*.yml``: of an experiment a grid over the keys that it sweeps, of a search a Bayesian
and a random one over the same space. The suffix keeps them out of Hydra's list of options.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from nst.config import schema
from nst.config.compose import conf_dir
from nst.config.messages import exit_status, one_line
from nst.config.overrides import number, quoted
from nst.sweeps.search.setup import check, require_optuna
from nst.utils.errors import NstError
from nst.utils.files import write_whole

HEADER = """\
# Made from {source}.yaml by `python -m nst.cli.wandb_sweeps`: edit that one.
#   wandb sweep {path}.yml
#   wandb agent ENTITY/PROJECT/ID           as the first command prints it
"""

SEARCH = """\
# W&B optimises one metric, here the first of {objective}.
# Hyperband counts its values: {values} with steps={steps} and snapshot_every={every}.
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
            override.get_key_element(): {"values": [number(each) for each in _elements(override)]}
            for override in parsed
        },
        "command": _command(f"+experiments={name}"),
    }
    header = HEADER.format(source=f"experiments/{name}", path=f"experiments/wandb/{name}")
    return header + _yaml(sweep)


def _elements(override: Any) -> list[str]:
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]


def _command(*overrides: str) -> list[str]:
    # RUN: each point of the sweep is one run; the file of the experiment or search sets MULTIRUN
    return ["${env}", "${program}", *overrides, "hydra.mode=RUN", "${args_no_hyphens}"]


def _yaml(sweep: dict[str, Any]) -> str:
    return yaml.safe_dump(sweep, sort_keys=False, allow_unicode=True)


def search_files(path: Path) -> dict[str, str]:
    """The W&B sweeps of a search, as YAML, by their names.

    Args:
        path: of its file, in a folder of the name ``search``.

    Raises:
        ConfigError: without Optuna, and for anything that is wrong with the search.
        HydraException: if it cannot be composed.
    """
    require_optuna()
    from nst.sweeps.search import wandb_sweep

    schema.register()
    folder = path.resolve().parent
    overrides = [
        f"+{folder.name}={path.stem}",
        f"hydra.searchpath=[{quoted(f'file://{folder.parent}')}]",
    ]
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        config = compose("config", overrides, return_hydra_config=True)
        space = check(config, GlobalHydra.instance().config_loader())
    found = {}
    for method in wandb_sweep.METHODS:
        name = f"{path.stem}_{method}"
        sweep = {
            "name": name,
            "project": "nst",
            "program": "nst",
            "method": method,
            **wandb_sweep.of_study(config, space),
            "command": _command(*space.fixed),
        }
        header = HEADER + SEARCH
        found[name] = header.format(
            source=f"conf/search/{path.stem}",
            path=f"conf/search/wandb/{name}",
            objective="[" + ",".join(config.objective) + "]",
            values=wandb_sweep.logged_values(config),
            steps=config.steps,
            every=config.snapshot_every,
        ) + _yaml(sweep)
    return found


def write(folder: Path) -> list[Path]:
    """Writes the sweep files of all experiments and searches in a folder.

    Returns:
        Their paths.
    """
    (folder / "wandb").mkdir(exist_ok=True)
    written = []
    for path in sorted(folder.glob("*.yaml")):
        declared = yaml.safe_load(path.read_text(encoding="utf-8"))
        experiment = "experiment" in declared
        files = {path.stem: sweep_file(path.stem, declared)} if experiment else search_files(path)
        for name, text in files.items():
            written.append(folder / "wandb" / f"{name}.yml")
            write_whole(written[-1], text.encode())
    return written


def main(arguments: Sequence[str]) -> int:
    """Writes the files and prints their paths. Returns the exit status."""
    try:
        for folder in arguments or [f"{conf_dir()}/experiments", f"{conf_dir()}/search"]:
            for each in write(Path(folder).resolve()):
                print(each)
    except (NstError, HydraException) as error:
        print(f"wandb_sweeps: {one_line(error)}", file=sys.stderr)
        return exit_status(error)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
