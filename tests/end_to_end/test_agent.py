"""W&B sweeps: files made from experiments and searches, and runs of a real agent."""

from __future__ import annotations

import itertools
import json
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

from nst.cli.wandb_sweeps import main, search_files, sweep_file, write
from nst.config.compose import conf_dir
from nst.config.job_overrides import values
from nst.loggers import wandb_agent
from nst.runner.record import read_facts
from tests import commands
from tests.helpers import config, nst, slow
from tests.wandb_server import SWEEP, WandbServer

EXPERIMENTS = Path(conf_dir(), "experiments").resolve()
NAMES = sorted(path.stem for path in EXPERIMENTS.glob("*.yaml"))
SEARCHES = Path(conf_dir(), "search").resolve()


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


def test_searches_have_files_that_are_what_is_made_from_them() -> None:
    """If this fails: python -m nst.cli.wandb_sweeps."""
    made: dict[str, str] = {}
    for path in SEARCHES.glob("*.yaml"):
        made |= search_files(path)
    kept = {path.stem: path.read_text(encoding="utf-8") for path in SEARCHES.glob("wandb/*")}
    assert kept == made


def test_a_search_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its other overrides are part of the command: a single run does not read ``params``."""
    own = """\
# @package _global_
defaults:
  - override /hydra/sweeper: optuna
study: mine
objective: [loss/style, ssim]
steps: 80
hydra:
  mode: MULTIRUN
  sweeper:
    n_trials: 9
    params:
      seed: 3
      weights.tv: interval(0, 2)
      layers: report,gatys
"""
    path = tmp_path / "search" / "mine.yaml"
    path.parent.mkdir()
    path.write_text(own, encoding="utf-8")
    assert main([str(path.parent)]) == 0
    written = [path.parent / "wandb" / f"mine_{method}.yml" for method in ("bayes", "random")]
    assert capsys.readouterr().out.splitlines() == [*map(str, written)]
    first, second = map(_read, written)
    assert first == {
        "name": "mine_bayes",
        "project": "nst",
        "program": "nst",
        "method": "bayes",
        "run_cap": 9,
        "metric": {"name": "loss/style", "goal": "minimize"},
        "parameters": {
            "weights.tv": {"distribution": "uniform", "min": 0.0, "max": 2.0},
            "layers": {"values": ["report", "gatys"]},
        },
        "early_terminate": {"type": "hyperband", "min_iter": 9, "eta": 3},  # of 81 values
        "command": [
            *("${env}", "${program}", "seed=3", "+search=mine", "hydra.mode=RUN"),
            "${args_no_hyphens}",
        ],
    }
    assert second == {**first, "name": "mine_random", "method": "random"}
    wrong = path.with_name("mistyped.yaml")
    path.rename(wrong)
    wrong.write_text(own.replace("report,gatys", "reprot,gatys"), encoding="utf-8")
    assert main([str(path.parent)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("wandb_sweeps: layers=reprot: no such option")
    assert len(error.splitlines()) == 1


def test_what_the_sweep_has_set_is_left_alone() -> None:
    told = {"init": {"name": "noise", "std": 0.2}, "seed": 3, "layers": {"style": ["conv1_1"]}}
    found = wandb_agent.beside(told, {"init", "seed", "layers.style"})
    assert found == {"init.name": "noise", "init.std": 0.2, "layers": {"style": ["conv1_1"]}}
    assert wandb_agent.beside(told, set()) == told


NST = """\
#!{python}
import os, signal, sys, time
from multiprocessing.connection import Client
with Client({address!r}) as client:
    client.send((sys.argv[1:], os.getcwd(), dict(os.environ)))
    process = client.recv()
    def stop(number, frame):
        os.kill(process, number)
        time.sleep(0.05)
        os.kill(process, number)  # W&B's client stops a run as well
    signal.signal(signal.SIGTERM, stop)
    status, out, err = client.recv()
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(status)
"""


AT_ONCE = "+logger.wandb.settings.x_file_stream_transmit_interval=0.1"  # 15 s


def run_for(listener: Listener) -> None:
    """Runs what the `nst` of the agent is asked for, until the listener is closed."""
    while True:
        try:
            client = listener.accept()
        except OSError:
            return
        with client:
            arguments, cwd, environment = client.recv()
            process = commands.Process("nst", arguments, Path(cwd), environment)
            client.send(process.pid)
            out, err = process.communicate()
            client.send((process.returncode, out, err))


WANDB = """
from wandb.cli.cli import cli
from wandb.wandb_agent import Agent
Agent.POLL_INTERVAL = 0.2  # 5
cli()
"""


def sweep_and_agent(server: WandbServer, folder: Path, declared: dict[str, Any]) -> str:
    """Runs both commands for real; the agent asks every 0.2 s whether a run has ended.

    What it finds as `nst` on its path has a process forked for the run (``tests.commands``).

    Returns:
        What the agent and its runs wrote to stderr.
    """
    (folder / "tiny.yml").write_text(yaml.safe_dump(declared), encoding="utf-8")
    program = folder / "bin" / "nst"
    program.parent.mkdir()
    address = str(folder / "socket")
    program.write_text(NST.format(python=sys.executable, address=address), encoding="utf-8")
    program.chmod(0o755)
    with Listener(address) as listener:
        threading.Thread(target=run_for, args=(listener,), daemon=True).start()
        environment = {**os.environ, **server.environment}
        environment["PATH"] = f"{program.parent}{os.pathsep}{environment['PATH']}"
        for command in (["sweep", "tiny.yml"], ["agent", f"tester/nst/{SWEEP}"]):
            ended = subprocess.run(
                [sys.executable, "-c", WANDB, *command],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=True,
                timeout=commands.LIMIT,
            )
    return ended.stderr


@slow
def test_sweep_and_agent(tmp_path: Path) -> None:
    """The second point is the first one's run in other words."""
    declared = _read(EXPERIMENTS / "wandb" / "content_reconstruction.yml")
    points = ["[conv1_1,conv2_1]", "[conv_1,conv_3]"]
    declared["parameters"] = {"layers.content": {"values": points}, "seed": {"values": [7]}}
    tiny = ["image.size=32", "steps=6", "snapshot_every=4"]
    declared["command"][-1:] = [*tiny, "${args_no_hyphens}"]
    with WandbServer() as server:
        told = sweep_and_agent(server, tmp_path, declared)
    assert server.points == []
    assert "Ignoring" not in told  # what W&B says of an id or project beside its own
    assert "locked" not in told
    assert told.count("already finished") == 1
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


@slow
def test_an_agent_whose_runs_are_stopped(tmp_path: Path) -> None:
    """As by Hyperband: each is pruned and finished, and the agent begins the next one.

    It would end after three runs that have failed.
    """
    declared = _read(SEARCHES / "wandb" / "tradeoff_bayes.yml")
    metric = declared["metric"]["name"]
    assert declared["parameters"].pop("layers")
    tiny = ["image.size=32", "steps=3000", "snapshot_every=4", "layers.style=[conv1_1]"]
    declared["command"][-1:] = [*tiny, AT_ONCE, "${args_no_hyphens}"]
    with WandbServer() as server:
        server.stops = lambda run: sum(metric in row for row in run.history.values()) > 1
        told = sweep_and_agent(server, tmp_path, declared)
    assert server.points == []
    assert len(server.runs) == 4
    assert told.count("nst: stopped by the agent of its W&B sweep") == 4
    assert "Traceback" not in told
    assert "failed runs" not in told
    assert len({json.dumps(run.config["weights"]) for run in server.runs.values()}) == 4
    for run in server.runs.values():
        assert run.complete
        assert run.exit_code == 0
        measured = [step for step, row in run.history.items() if metric in row]
        assert measured == [*range(4, max(run.history) + 1, 4)]
        assert metric in run.summary
        assert any(name.startswith("media/images/best") for name in run.files)
    for folder in (tmp_path / "outputs" / "runs").iterdir():
        assert read_facts(folder)["status"] == "pruned"
        assert (folder / "best.png").exists()
        assert not list(folder.glob("*checkpoint*"))


@slow
def test_a_run_that_only_the_client_stops(tmp_path: Path) -> None:
    """W&B's client asks the server every 15 s, whether there is an agent or not."""
    arguments = ["+search=tradeoff", "hydra.mode=RUN", "image.size=32", "steps=100000"]
    arguments += ["snapshot_every=500", "layers.style=[conv1_1]", AT_ONCE]
    with WandbServer() as server:
        server.stops = lambda run: bool(run.history)
        begun = {"WANDB_SWEEP_ID": SWEEP, "WANDB_RUN_ID": "point1", "WANDB_PROJECT": "nst"}
        ended = nst(*arguments, cwd=tmp_path, **server.environment, **begun)
        run = server.runs["point1"]
    assert ended.returncode == 0
    assert ended.stderr.splitlines()[-1] == "nst: stopped by the agent of its W&B sweep"
    assert run.complete
    assert run.exit_code == 0
    (folder,) = (tmp_path / "outputs" / "runs").iterdir()
    assert read_facts(folder)["status"] == "pruned"
