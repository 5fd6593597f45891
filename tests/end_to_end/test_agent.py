"""W&B sweeps: the files are those of the experiments, and an agent's run is filled by `nst`."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from multiprocessing.connection import Listener
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from nst.cli.wandb_sweeps import sweep_file, write
from nst.config.compose import conf_dir
from nst.config.job_overrides import values
from nst.loggers import wandb_agent
from nst.runs.record import read_facts
from tests import commands
from tests.helpers import config, slow
from tests.wandb_server import SWEEP, WandbServer

EXPERIMENTS = Path(conf_dir(), "experiments").resolve()
NAMES = sorted(path.stem for path in EXPERIMENTS.glob("*.yaml"))


def _read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_there_is_a_file_for_each_experiment_and_no_other() -> None:
    assert sorted(path.stem for path in EXPERIMENTS.glob("wandb/*")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_files_are_what_is_made_from_the_experiments(name: str) -> None:
    """If this fails: python -m nst.cli.wandb_sweeps."""
    kept = (EXPERIMENTS / "wandb" / f"{name}.yml").read_text(encoding="utf-8")
    assert kept == sweep_file(name, _read(EXPERIMENTS / f"{name}.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_the_grid_is_that_of_the_experiment(name: str) -> None:
    """As the agent writes it, every point is one value for Hydra, and all are the sweep's jobs."""
    parser = OverridesParser.create()
    params = _read(EXPERIMENTS / f"{name}.yaml")["hydra"]["sweeper"]["params"]
    texts = [f"{key}={value}" for key, value in params.items()]
    (jobs,) = BasicSweeper.split_arguments(parser.parse_overrides(texts), None)
    grid = _read(EXPERIMENTS / "wandb" / f"{name}.yml")["parameters"]
    points = [
        [f"{key}={value}" for key, value in zip(grid, point, strict=True)]
        for point in itertools.product(*(each["values"] for each in grid.values()))
    ]
    assert not any(each.is_sweep_override() for point in points for each in map(_one, point))
    assert [values(point) for point in points] == [values(job) for job in jobs]
    config(f"+experiments={name}", *points[-1])


def _one(text: str) -> Any:
    return OverridesParser.create().parse_override(text)


def test_an_experiment_of_ones_own(tmp_path: Path) -> None:
    own: dict[str, Any] = {"experiment": {"title": "Mine"}, "hydra": {"sweeper": {"params": {}}}}
    own["hydra"]["sweeper"]["params"] = {"+pair": "a,b", "optimizer.lr": "1e-2,0.1", "seed": 3}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(own), encoding="utf-8")
    (path,) = write(tmp_path)
    assert path == tmp_path / "wandb" / "mine.yml"
    assert _read(path)["parameters"] == {
        "+pair": {"values": ["a", "b"]},
        "optimizer.lr": {"values": [0.01, 0.1]},
        "seed": {"values": [3]},
    }


def test_what_the_sweep_has_set_is_left_alone() -> None:
    told = {"init": {"name": "noise", "std": 0.2}, "seed": 3, "layers": {"style": ["conv1_1"]}}
    found = wandb_agent.beside(told, {"init", "seed", "layers.style"})
    assert found == {"init.name": "noise", "init.std": 0.2, "layers": {"style": ["conv1_1"]}}
    assert wandb_agent.beside(told, set()) == told


NST = """\
#!{python}
import os, sys
from multiprocessing.connection import Client
with Client({address!r}) as client:
    client.send((sys.argv[1:], os.getcwd(), dict(os.environ)))
    status, out, err = client.recv()
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(status)
"""


def run_for(listener: Listener) -> None:
    """Runs what the `nst` of the agent is asked for, twice."""
    for _ in range(2):
        with listener.accept() as client:
            arguments, cwd, environment = client.recv()
            ended = commands.run("nst", arguments, Path(cwd), environment)
            client.send((ended.returncode, ended.stdout, ended.stderr))


WANDB = """
from wandb.cli.cli import cli
from wandb.wandb_agent import Agent
Agent.POLL_INTERVAL = 0.2  # 5
cli()
"""


@slow
def test_sweep_and_agent(tmp_path: Path) -> None:
    """Both commands for real; the agent asks every 0.2 s whether a run has ended.

    What it finds as `nst` on its path has a process forked for the run (``tests.commands``).

    The second point is the first one's run in other words.
    """
    declared = _read(EXPERIMENTS / "wandb" / "content_reconstruction.yml")
    points = ["[conv1_1,conv2_1]", "[conv_1,conv_3]"]
    declared["parameters"] = {"layers.content": {"values": points}, "seed": {"values": [7]}}
    tiny = ["image.size=32", "steps=6", "snapshot_every=4"]
    declared["command"][-1:] = [*tiny, "${args_no_hyphens}"]
    (tmp_path / "tiny.yml").write_text(yaml.safe_dump(declared), encoding="utf-8")
    program = tmp_path / "bin" / "nst"
    program.parent.mkdir()
    address = str(tmp_path / "socket")
    program.write_text(NST.format(python=sys.executable, address=address), encoding="utf-8")
    program.chmod(0o755)
    with WandbServer() as server, Listener(address) as listener:
        threading.Thread(target=run_for, args=(listener,), daemon=True).start()
        environment = {**os.environ, **server.environment}
        environment["PATH"] = f"{program.parent}{os.pathsep}{environment['PATH']}"
        for command in (["sweep", "tiny.yml"], ["agent", f"tester/nst/{SWEEP}"]):
            ended = subprocess.run(
                [sys.executable, "-c", WANDB, *command],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                check=True,
                timeout=commands.LIMIT,
            )
        assert server.points == []
        assert "Ignoring" not in ended.stderr  # what W&B says of an id or project beside its own
        assert "locked" not in ended.stderr
        assert ended.stderr.count("already finished") == 1
    (folder,) = (tmp_path / "outputs" / "runs").iterdir()
    assert read_facts(folder)["wandb_id"] == "point2"
    first, again = server.runs["point2"], server.runs["point1"]
    for run, text in zip((first, again), points, strict=True):
        assert run.sweep == SWEEP
        assert run.group == f"sweep-{SWEEP}"
        assert run.display_name == folder.name
        assert run.complete
        assert run.exit_code == 0
        assert run.config["layers.content"]["value"] == text  # as W&B has set it
        assert run.config["layers"]["value"]["content"] == ["conv1_1", "conv2_1"]
        assert run.config["seed"]["value"] == 7
        assert "experiment=content_reconstruction" in run.tags
    kept = [
        {step: {key: row[key] for key in row if key[0] != "_"} for step, row in run.history.items()}
        for run in (first, again)
    ]
    assert sorted(kept[0]) == list(range(7))
    assert {"final", "snapshot", "measure/psnr", "loss/total"} <= set(kept[0][6])
    assert kept[0] == kept[1]
