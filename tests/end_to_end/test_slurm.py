"""What ends a run from outside: SIGTERM inside a Slurm job, ``SystemExit`` and its like."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.loggers import CSVLogger

from nst.cli.main import invoke
from nst.config.compose import conf_dir
from nst.loggers.tensorboard import TensorBoardLogger
from nst.runner import signals
from nst.runner.record import INTERRUPTED, read_facts
from nst.runner.signals import Interrupts
from nst.sweeps import sweep_folder
from nst.sweeps.jobs import Jobs
from nst.transfer.module import StyleTransfer
from nst.utils.errors import Interrupted
from tests.helpers import execute, nst, prepared, slow, started
from tests.run_folders import contents, run_folder

JOB = {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
LAYERS = ("layers.style=[conv1_1]", "layers.content=[conv2_1]")
WAITS = "waiting until Slurm ends this job"
TINY = ("image.size=32", "steps=4", "logger=none", *LAYERS)


@slow
def test_a_job_is_checkpointed_and_waits(tmp_path: Path) -> None:
    """The requeued job completes with the picture of an uninterrupted run, bit for bit."""
    arguments = [*TINY, "steps=40", "init=noise"]
    process = started(arguments, tmp_path, **JOB)
    limit = threading.Timer(300, process.kill)  # else a fault would wait forever
    limit.start()
    try:
        assert any("step 4/40" in line for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        assert any(WAITS in line for line in process.stderr)
        folder = run_folder(tmp_path)
        assert folder is not None
        facts = read_facts(folder)
        assert facts["status"] == INTERRUPTED
        assert 4 <= facts["steps"] < 40
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGTERM)  # Slurm's own second one
        assert process.wait() == -signal.SIGTERM
    finally:
        limit.cancel()
        process.kill()
        process.communicate()
    ended = nst(*arguments, cwd=tmp_path, **JOB)
    assert ended.returncode == 0, ended.stderr
    assert f"resuming from step {facts['steps']}" in ended.stderr
    (tmp_path / "peace").mkdir()
    assert nst(*arguments, cwd=tmp_path / "peace").returncode == 0
    peaceful = run_folder(tmp_path / "peace")
    assert peaceful is not None
    assert contents(folder) == contents(peaceful)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A Slurm job, in which every wait is noted, and ends at once as by Ctrl-C."""
    found: list[str] = []

    def sleep(seconds: float) -> None:
        found.append(WAITS)
        raise KeyboardInterrupt

    for name, value in JOB.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(signals, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
    handlers = [(each, signal.getsignal(each)) for each in signals.STOPPING]
    yield found
    for number, handler in handlers:
        signal.signal(number, handler)


Act = Callable[[], object]


def before(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, act: Act, call: int = 1) -> None:
    """Does something before the n-th call of a function."""
    plain, calls = getattr(owner, name), []

    def acting(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        if len(calls) == call:
            act()
        return plain(*args, **kwargs)

    monkeypatch.setattr(owner, name, acting)


MOMENTS: dict[str, tuple[Any, str, int]] = {
    "composing": (Jobs, "prepare", 1),
    # with Lightning's handlers, and not yet ours
    "starting": (Interrupts, "listen", 1),
    "computing": (StyleTransfer, "training_step", 3),
    "between runs": (Jobs, "prepare", 2),
}


@pytest.mark.parametrize(
    ("moment", "number"),
    [*((moment, signal.SIGTERM) for moment in MOMENTS), ("composing", signal.SIGINT)],
)
def test_any_moment_of_a_sweep(
    moment: str,
    number: signal.Signals,
    waits: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """SIGTERM waits after the sweep's table; Ctrl-C ends at once."""
    owner, name, call = MOMENTS[moment]
    before(monkeypatch, owner, name, lambda: signal.raise_signal(number), call)
    arguments = ["-m", *TINY, "init=noise,content", f"outputs={tmp_path}"]
    assert invoke(arguments) == 128 + number
    assert waits == [WAITS] * (number == signal.SIGTERM)
    told = capsys.readouterr().err
    completed = moment == "between runs"
    assert told.count("1 completed, 1 not") == completed
    assert (WAITS in told.splitlines()[-1]) == (number == signal.SIGTERM)
    statuses = {read_facts(folder)["status"] for folder in (tmp_path / "runs").glob("*")}
    assert statuses == (
        {"completed"} if completed else set() if moment == "composing" else {INTERRUPTED}
    )


def test_a_worker_of_another_program(
    waits: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker's own handler, such as submitit's, gets the signal; then the worker waits."""
    received: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    owner, name, call = MOMENTS["starting"]
    before(monkeypatch, owner, name, lambda: signal.raise_signal(signal.SIGTERM), call)
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        overrides = [*TINY, f"outputs={tmp_path}"]
        config = compose("config", overrides=overrides)
        whole = compose("config", [*overrides, "hydra.mode=RUN"], return_hydra_config=True)
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)  # afterwards it is as it was before
    HydraConfig.instance().set_config(whole)
    with pytest.raises(Interrupted, match="SIGTERM"):
        Jobs()(config)
    assert signal.SIGTERM in received
    assert waits == [WAITS]
    (folder,) = (tmp_path / "runs").iterdir()
    assert read_facts(folder)["status"] == INTERRUPTED


def test_a_worker_does_not_wait(
    waits: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker without a handler, such as joblib's, ends its run and raises."""
    owner, name, call = MOMENTS["computing"]
    before(monkeypatch, owner, name, lambda: signal.raise_signal(signal.SIGTERM), call)
    with pytest.raises(Interrupted, match="SIGTERM") as caught:
        execute([prepared(*TINY, f"outputs={tmp_path}")])
    (folder,) = (tmp_path / "runs").iterdir()
    assert read_facts(folder)["status"] == INTERRUPTED
    sent = pickle.loads(pickle.dumps(caught.value))
    assert (str(sent), sent.signal, sent.exit_status) == (str(caught.value), signal.SIGTERM, 143)
    signals.wait_for_slurm(sent, os.getppid())  # in the process that it was sent to
    assert waits == []
    signals.wait_for_slurm(caught.value, -1)  # its parent is gone
    assert waits == []


def raising(error: BaseException) -> Act:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError()], ids=repr)
def test_what_stops_a_process_does_not_fail_its_runs(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses: list[str] = []
    monkeypatch.setattr(TensorBoardLogger, "_close", lambda self, status: statuses.append(status))
    settings = [*TINY, "logger=tensorboard", f"outputs={tmp_path}"]
    before(monkeypatch, StyleTransfer, "training_step", raising(error), 3)
    with pytest.raises(type(error)):
        execute([prepared(*settings)])
    (folder,) = (tmp_path / "runs").iterdir()
    facts = read_facts(folder)
    assert (facts["status"], facts["reason"]) == (INTERRUPTED, f"stopped by {error!r}")
    assert statuses == ["aborted"]


@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError("no room"), "failed"), (KeyboardInterrupt(), "aborted")]
)
def test_loggers_are_ended_where_the_trainer_has_not_begun(
    error: BaseException, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses: list[str] = []
    monkeypatch.setattr(CSVLogger, "finalize", lambda self, status: statuses.append(status))
    before(monkeypatch, StyleTransfer, "__init__", raising(error))
    with pytest.raises((RuntimeError, Interrupted)):
        execute([prepared(*TINY, "logger=csv", f"outputs={tmp_path}")])
    assert statuses == [status]


@pytest.mark.parametrize(("code", "status"), [(3, 3), ("enough", 1), (0, 1)], ids=repr)
def test_an_exit_ends_a_sweep(
    code: Any,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the status of the exit, but never 0: the sweep is not complete."""
    before(monkeypatch, Jobs, "prepare", raising(SystemExit(code)))
    arguments = ["-m", *TINY, "init=noise,content", f"outputs={tmp_path}"]
    assert invoke(arguments) == status
    told = capsys.readouterr().err
    assert ("nst: enough" in told) == (code == "enough")
    (sweep_dir,) = (tmp_path / "sweeps").iterdir()
    assert sweep_folder.outcomes(sweep_dir) == []
