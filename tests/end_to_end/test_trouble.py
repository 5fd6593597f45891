"""W&B in trouble: the real client against a server that breaks. No run is stopped by it."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import lightning as L
import pytest
import wandb

from nst.loggers.wandb import INIT_SECONDS, WandbLogger
from nst.runner.record import COMPLETED, read_facts, read_status
from nst.utils.errors import NstError
from tests.commands import LIMIT, wait_until
from tests.helpers import execute, first_of, nst, prepared, slow, started
from tests.run_folders import run_folder, wait_for_checkpoint
from tests.wandb_server import Fault, Stored, WandbServer

SMALL = ("image.size=32", "layers.style=[conv1_1]", "layers.content=[conv2_1]")
ONLINE = (*SMALL, "logger.wandb.mode=online", "snapshot_every=4")
SOON = "+logger.wandb.settings.x_file_stream_transmit_interval=1"
"""Rows go out every second instead of every fifteen, so that there is a half to be cut off."""
GOING = 60
LONG = (f"steps={GOING}", "+trainer.callbacks=[{_target_: tests.end_to_end.test_trouble.Slow}]")
"""A run of which the server knows some steps a good while before the last."""

GIVES_UP = "+logger.wandb.settings.finish_timeout=3"
"""At its end a run waits 3 s for the server, instead of 15 s."""

FAULTS: list[Fault] = ["drop", "500", "stall", "401"]


class Slow(L.Callback):
    """Each step takes 30 ms more."""

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        time.sleep(0.03)


def sync(told: str, cwd: Path, server: WandbServer) -> None:
    """Does what the run said would send it later."""
    (command,) = re.findall(r"wandb (sync .*)", told)
    wandb = str(Path(sys.executable).with_name("wandb"))
    subprocess.run(
        [wandb, *command.split()],
        cwd=cwd,
        env={**os.environ, **server.environment},
        capture_output=True,
        check=True,
        timeout=LIMIT,
    )


def check_whole(run: Stored, steps: int) -> None:
    """Every step is there, with its images, and what the run was."""
    assert sorted(run.history) == list(range(steps + 1))
    for step, row in run.history.items():
        kept = step % 4 == 0 or step == steps
        assert ("snapshot" in row) == kept
        if kept:
            (name,) = row["snapshot"]["filenames"]
            assert run.files[name].startswith(b"\x89PNG")
    assert run.config["image"]["value"] == {"size": 32}
    assert run.complete
    assert run.exit_code == 0


def check_table(summary: Stored, server: WandbServer, count: int) -> None:
    """The sweep's table is there once, a row per run, with every picture that it names."""
    assert sorted(summary.history) == [0]
    assert summary.doubled == []
    assert summary.complete
    (name,) = server.committed
    uploaded = server.artifacts[name]
    table = json.loads(uploaded["runs.table.json"])
    assert len(table["data"]) == count
    pictures = [cell["path"] for row in table["data"] for cell in row if isinstance(cell, dict)]
    assert len(pictures) == 2 * count
    assert all(uploaded[path].startswith(b"\x89PNG") for path in pictures)


def check_no_step_waited(folder: Path) -> None:
    """Whatever the server did, no step waited as long as W&B waits for it at least."""
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    gaps = [after - before for before, after in pairwise(seconds)]
    # the first step warms up; on a machine that is shared all of them vary
    assert max(gaps[1:]) < INIT_SECONDS + 5 * median(gaps)


def test_only_a_server_has_little_time_to_answer(tmp_path: Path) -> None:
    """Offline, W&B's own process may be slow to start on a busy machine: the run is not lost."""
    online, offline, chosen = (
        WandbLogger(mode=mode, id="x", save_dir=tmp_path, settings=settings)
        for mode, settings in (("online", {}), ("offline", {}), ("offline", {"init_timeout": 7.0}))
    )

    def limit(logger: WandbLogger) -> float:
        return float(logger._wandb_init["settings"].init_timeout)

    assert limit(online) == INIT_SECONDS
    assert limit(offline) == wandb.Settings().init_timeout > INIT_SECONDS
    assert limit(chosen) == 7
    # as wandb.init leaves the settings if it fails
    online._wandb_init["settings"].resume = online._wandb_init["resume"]
    online._go_offline()
    assert limit(online) == limit(offline)
    for logger in (online, offline):
        assert logger._wandb_init["resume"] is logger._wandb_init["settings"].resume is None


def test_the_process_of_another_program(tmp_path: Path) -> None:
    """What WANDB_SERVICE names was begun in another folder; the record lies with the run."""
    wandb.setup()
    assert "WANDB_SERVICE" in os.environ
    ended = nst(*SMALL, "steps=2", "logger.wandb.mode=offline", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    (record,) = (tmp_path / ended.stdout.strip()).glob("wandb/offline-run-*/run-*.wandb")
    assert record.stat().st_size > 0


@pytest.mark.parametrize("service", first_of(["3-1-unix-/nowhere", "none"]))
def test_no_such_process(service: str, tmp_path: Path) -> None:
    """A name that is no longer good, as after a program that ended: one line, and the run is."""
    ended = nst(*SMALL, "steps=2", cwd=tmp_path, WANDB_SERVICE=service)
    assert ended.returncode == 0, ended.stderr
    assert read_status(tmp_path / ended.stdout.strip()) == COMPLETED
    assert ended.stderr.count("is disabled for the rest of this run") == 1
    assert "Traceback" not in ended.stderr


def test_online(tmp_path: Path) -> None:
    """What arrives is what the run folder has."""
    with WandbServer() as server:
        ended = nst(*ONLINE, "steps=6", cwd=tmp_path, **server.environment)
        assert ended.returncode == 0, ended.stderr
        (run,) = server.runs.values()
        check_whole(run, 6)
        assert run.doubled == []
        folder = run_folder(tmp_path)
        assert folder is not None
        assert run.id == read_facts(folder)["wandb_id"]
        assert run.display_name == folder.name
        (name,) = run.history[4]["snapshot"]["filenames"]
        assert run.files[name] == (folder / "snapshots" / "00004.png").read_bytes()
        assert f"W&B: {server.url}" in ended.stderr


@pytest.mark.parametrize(
    "fault",
    first_of(["401", None, "500", "stall", "drop"]),
    ids=lambda fault: fault or "closed port",
)
def test_no_server_from_the_start(fault: Fault | None, tmp_path: Path) -> None:
    """Both runs of a sweep complete; it is told once, and sent later."""
    with WandbServer() as server:
        environment = dict(server.environment)
        if fault is None:
            environment["WANDB_BASE_URL"] = "http://127.0.0.1:9"  # nobody listens there
        server.fault = fault
        ended = nst("-m", "init=noise,content", *ONLINE, "steps=6", cwd=tmp_path, **environment)
        assert ended.returncode == 0, ended.stderr
        assert "Traceback" not in ended.stderr
        assert ended.stderr.count("this run and the next ones are recorded offline") == 1
        told = [line for line in ended.stderr.splitlines() if line.startswith("W&B: offline;")]
        assert len(told) == 3  # two runs and the sweep's table
        folders = list((tmp_path / "outputs" / "runs").iterdir())
        assert [read_status(folder) for folder in folders] == [COMPLETED, COMPLETED]
        for folder in folders:
            check_no_step_waited(folder)
            assert len(list(folder.glob("wandb/*run-*"))) == 1  # no rest of the attempt
        assert server.runs == {}
        server.fault = None
        for line in told:
            sync(line, tmp_path, server)
        (summary,) = [run for run in server.runs.values() if run.job_type == "sweep"]
        check_table(summary, server, 2)
        del server.runs[summary.id]
        assert set(server.runs) == {read_facts(folder)["wandb_id"] for folder in folders}
        for run in server.runs.values():
            check_whole(run, 6)
            assert run.doubled == []


@pytest.mark.parametrize("fault", first_of(FAULTS), ids=str)
def test_the_server_breaks_while_a_run_is_going(fault: Fault, tmp_path: Path) -> None:
    with WandbServer() as server:
        settings = [*ONLINE, SOON, GIVES_UP, *LONG]
        process = started(settings, tmp_path, **server.environment)
        wait_until(lambda: any(run.history for run in server.runs.values()), process)
        server.fault = fault
        _, told = process.communicate()
        assert process.returncode == 0, told
        assert "Traceback" not in told
        (line,) = [line for line in told.splitlines() if "the upload is incomplete" in line]
        folder = run_folder(tmp_path)
        assert folder is not None
        assert read_status(folder) == COMPLETED
        check_no_step_waited(folder)
        (run,) = server.runs.values()
        assert 0 < len(run.history) <= GOING
        server.fault = None
        sync(line, tmp_path, server)
        check_whole(run, GOING)


@slow
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_the_server_breaks_before_the_table(fault: Fault, tmp_path: Path) -> None:
    """The runs of a sweep are delivered; its table is recorded offline, and sent later."""
    with WandbServer() as server:
        process = started(["-m", *ONLINE, "steps=6"], tmp_path, **server.environment)
        wait_until(lambda: any(run.complete for run in server.runs.values()), process)
        server.fault = fault
        _, told = process.communicate()
        assert process.returncode == 0, told
        assert "Traceback" not in told
        (line,) = [line for line in told.splitlines() if "wandb sync" in line]
        server.fault = None
        sync(line, tmp_path, server)
        (summary,) = [run for run in server.runs.values() if run.job_type == "sweep"]
        check_table(summary, server, 1)
        (run,) = [run for run in server.runs.values() if run is not summary]
        check_whole(run, 6)


@slow
def test_the_server_is_gone_when_an_agent_has_started_a_run(tmp_path: Path) -> None:
    """W&B insists on the agent's id, which the failed attempt still holds."""
    with WandbServer() as server:
        environment = {**server.environment, "WANDB_SWEEP_ID": "sweep1", "WANDB_RUN_ID": "point1"}
        server.fault = "drop"
        ended = nst(*ONLINE, "steps=6", cwd=tmp_path, WANDB_PROJECT="nst", **environment)
        assert ended.returncode == 0, ended.stderr
        (line,) = [line for line in ended.stderr.splitlines() if "wandb sync" in line]
        server.fault = None
        sync(line, tmp_path, server)
        (run,) = server.runs.values()
        assert run.id == "point1"
        check_whole(run, 6)


@slow
def test_a_killed_run_goes_on_as_the_same_run(tmp_path: Path) -> None:
    """kill -9 when the server knows half of it; afterwards it knows each step once."""
    with WandbServer() as server:
        settings = [*ONLINE, SOON, *LONG, "checkpoint_seconds=0"]
        process = started(settings, tmp_path, **server.environment)
        wait_until(lambda: any(run.history for run in server.runs.values()), process)
        wait_for_checkpoint(process, tmp_path)
        process.kill()
        process.communicate()
        (run,) = server.runs.values()
        half = len(run.history)
        assert 0 < half <= GOING
        ended = nst(*settings, cwd=tmp_path, **server.environment)
        assert ended.returncode == 0, ended.stderr
        assert "resuming from step" in ended.stderr
        assert list(server.runs) == [run.id]
        assert sorted(run.history) == list(range(GOING + 1))
        assert run.doubled == []
        assert run.complete


RESUMED = (*SMALL, "steps=20", "snapshot_every=10", "init=noise")
WAYS = [("offline", "offline"), ("online", "offline"), ("offline", "online")]
WAYS += [("online", "refused"), ("refused", "offline"), ("refused", "online")]


@pytest.mark.parametrize(("first", "second"), first_of(WAYS))
def test_a_run_resumes_whichever_way_it_is_recorded(
    first: str,
    second: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Stopped after 13 of 20 steps; each attempt's record is sent when it ends.

    The server has the 21 rows of a run that was never stopped, and ends at step 20.
    """
    caplog.set_level("INFO", logger="nst.loggers.wandb")
    monkeypatch.chdir(tmp_path)
    with WandbServer() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        for how, more in ((first, ["+trainer.max_steps=13"]), (second, [])):
            wandb.teardown()  # as in a process of its own
            monkeypatch.setattr("nst.loggers.wandb._unreachable", False)
            caplog.clear()
            server.fault = "401" if how == "refused" else None
            mode = "offline" if how == "offline" else "online"
            run = prepared(*RESUMED, f"logger.wandb.mode={mode}", *more)
            if more:
                with pytest.raises(NstError, match="stopped by the Trainer"):
                    execute([run])
            else:
                (folder,) = execute([run])
            server.fault = None
            if how != "online":
                sync(caplog.text, tmp_path, server)
        (found,) = server.runs.values()
    assert found.id == read_facts(folder)["wandb_id"]
    check_resumed(found, folder, 20)


@slow
def test_a_run_killed_offline_resumes(tmp_path: Path) -> None:
    """The record that is sent has rows behind the checkpoint that the run resumes from."""
    with WandbServer() as server:
        settings = [*RESUMED, *LONG, "checkpoint_seconds=0", "logger.wandb.mode=offline"]
        process = started(settings, tmp_path)
        wait_for_checkpoint(process, tmp_path)
        folder = run_folder(tmp_path)
        assert folder is not None
        record = next(folder.glob("wandb/offline-run-*/run-*.wandb"))
        wait_until(lambda: record.stat().st_size >= 1 << 15, process)  # W&B writes blocks
        process.kill()
        process.communicate()
        sync(f"wandb sync {record.parent}", tmp_path, server)
        (found,) = server.runs.values()
        assert 0 < len(found.history) <= GOING
        ended = nst(*settings, cwd=tmp_path)
        assert "resuming from step" in ended.stderr
        sync(ended.stderr, tmp_path, server)
        assert list(server.runs.values()) == [found]
    check_resumed(found, folder, GOING)


def check_resumed(run: Stored, folder: Path, steps: int) -> None:
    """The server has the rows of the folder, with every snapshot, and the run's end."""
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        losses = {int(row["step"]): float(row["loss/total"]) for row in csv.DictReader(file)}
    assert sorted(losses) == list(range(steps + 1))
    assert {step: row["loss/total"] for step, row in run.history.items()} == pytest.approx(losses)
    kept = {step for step, row in run.history.items() if "snapshot" in row}
    assert kept == {*range(0, steps, 10), steps}
    assert {file for step in kept for file in run.history[step]["snapshot"]["filenames"]} <= {
        *run.files
    }
    assert run.summary["_step"] == steps
    assert run.complete
    assert run.exit_code == 0
