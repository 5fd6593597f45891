"""Runs of the agent of a W&B sweep, in this process: what they log, and how they stop."""

from __future__ import annotations

import csv
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from nst.cli.main import invoke
from nst.runner import signals
from nst.runner.record import RunRecord
from nst.transfer.module import StyleTransfer
from nst.utils import own_process
from nst.utils.errors import Interrupted

pytestmark = pytest.mark.usefixtures("tiny_backbone")

STEPS = 6
TINY = (
    *("image.size=32", f"steps={STEPS}", "snapshot_every=2", "logger=csv"),
    *("layers.content=[conv2_1]", "layers.style=[conv1_1,conv2_1]"),
)
OBJECTIVE = "objective=[content_distance,loss/style]"


@pytest.fixture(autouse=True)
def _agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["nst"])
    for name, value in {"SWEEP_ID": "sweep1", "RUN_ID": "point1"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)


def _run() -> RunRecord:
    (folder,) = Path("outputs/runs").iterdir()
    return RunRecord(folder)


def _at_step(monkeypatch: pytest.MonkeyPatch, step: int, act: Callable[[], object]) -> None:
    plain = StyleTransfer.training_step

    def acting(module: StyleTransfer, now: int, index: int) -> object:
        if now == step:
            act()
        return plain(module, now, index)

    monkeypatch.setattr(StyleTransfer, "training_step", acting)


def test_what_hyperband_sees() -> None:
    """At step 0 the distance is 0: a best value that would protect every run."""
    assert invoke([*TINY, OBJECTIVE]) == 0
    (log,) = Path("outputs").rglob("csv/**/metrics.csv")
    with log.open(newline="") as file:
        rows = [*csv.DictReader(file)]
    steps = {
        name: [int(row["step"]) for row in rows if row[name]]
        for name in ("measure/content_distance", "loss/style")
    }
    assert steps["measure/content_distance"] == [2, 4, STEPS]
    assert steps["loss/style"] == [*range(STEPS + 1)]


def test_the_agent_stops_a_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both the agent and W&B's client may ask for it; the agent wants the exit status 0."""

    def stop() -> None:
        own_process.terminate()
        signal.raise_signal(signal.SIGTERM)

    _at_step(monkeypatch, 3, stop)
    assert invoke([*TINY, OBJECTIVE]) == 0
    run = _run()
    assert run.status == "pruned"
    assert run.facts["reason"] == "stopped by the agent of its W&B sweep"
    assert run.facts["steps"] == 3
    assert run.picture("best")
    assert not list(run.folder.glob("*checkpoint*"))
    assert capsys.readouterr().err.splitlines()[-1] == f"nst: {run.facts['reason']}"


def test_a_run_without_an_objective_can_be_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a point of an experiment's grid, which Hyperband does not stop."""
    _at_step(monkeypatch, 3, own_process.terminate)
    assert invoke([*TINY]) == 0
    assert _run().status == "interrupted"
    assert list(_run().folder.glob("*checkpoint*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_other_signals_interrupt(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C, and the SIGTERM of a machine that is preempted: it has ended the agent too."""

    def stop() -> None:
        if number == signal.SIGTERM:
            monkeypatch.setattr(os, "getppid", lambda: 1)
        signal.raise_signal(number)

    _at_step(monkeypatch, 3, stop)
    assert invoke([*TINY, OBJECTIVE]) == 128 + number
    assert _run().status == "interrupted"
    assert list(_run().folder.glob("*checkpoint*"))


def test_a_stopped_run_does_not_wait_for_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        raise KeyboardInterrupt

    monkeypatch.setattr(signals, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    signals.wait_for_slurm(Interrupted(signal.SIGTERM), os.getppid())
    assert waits == []
    monkeypatch.delenv("WANDB_SWEEP_ID")
    signals.wait_for_slurm(Interrupted(signal.SIGTERM), os.getppid())
    assert len(waits) == 1


def test_a_search_needs_no_optuna_for_the_run_of_an_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B chooses the point: there is no study, and no judge."""
    for name in [name for name in sys.modules if name.startswith("nst.sweeps.search.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)  # refuses to be imported
    arguments = ["+search=tradeoff", "hydra.mode=RUN", "weights.style=1234.5", "layers=gatys"]
    assert invoke([*arguments, "image.size=32", "steps=2", "logger=none"]) == 0
    assert _run().status == "completed"
    assert _run().config["weights"]["style"] == 1234.5
    assert not Path("outputs/studies").exists()
    assert not Path("outputs/sweeps").exists()
