"""Killed, interrupted and doubled runs: real processes, real signals."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, cast
from unittest import mock

import pytest
import torch

from nst.cli.main import invoke
from nst.optim import LBFGS
from nst.optim.lbfgs import GROWTH
from nst.runner import checkpoint_file, machine
from nst.runner.folder import package_versions
from nst.runner.record import read_facts
from nst.runner.signals import SAME, Interrupts
from nst.runner.tracker import CHECKPOINT_SHARE, SECONDS_PER_BYTE, Tracker
from nst.transfer.checkpoint import Checkpoint
from nst.transfer.module import StyleTransfer
from nst.transfer.run import Run
from nst.utils.errors import NstError
from tests.commands import LIMIT, wait_until
from tests.helpers import execute, first_of, nst, prepared, slow, started
from tests.run_folders import (
    contents,
    run_folder,
    two_names,
    wait_for_checkpoint,
    wandb_history,
    wandb_records,
)

STEPS = 40  # on a fast machine as well, a checkpoint is written a good while before the last
BASE = ("image.size=40", f"steps={STEPS}", "snapshot_every=7", "checkpoint_seconds=0")
CASES = {
    "lbfgs from noise": ("init=noise",),
    "lbfgs pyramid": ("schedule=pyramid", "image.size=64"),
    "adam from blend": ("optimizer=adam", "init=blend"),
    "adam pyramid": ("optimizer=adam", "schedule=pyramid", "image.size=64", "init=noise"),
}


@pytest.mark.parametrize(
    ("case", "kills"), first_of([("lbfgs pyramid", 1), *((case, 12) for case in CASES)])
)
def test_killed_at_any_moment(case: str, kills: int, tmp_path: Path) -> None:
    """kill -9 wherever it hits; the picture is that of a run left in peace, bit for bit."""
    chance = random.Random(case)
    arguments = [*BASE, *CASES[case], "logger=none"]
    (tmp_path / "peace").mkdir()
    (tmp_path / "war").mkdir()
    assert nst(*arguments, cwd=tmp_path / "peace").returncode == 0
    killed, resumed = 0, 0
    for _ in range(5 * kills):
        if killed == kills:
            break
        began = time.time()
        process = started(arguments, tmp_path / "war")
        if killed % 3 < 2:  # where there is something to lose; else wherever it hits
            wait_for_checkpoint(process, tmp_path / "war", began)
            time.sleep(chance.random() * 0.4)
        else:
            time.sleep(chance.random() * 15)
        process.kill()
        _, told = process.communicate()
        resumed += "resuming from step" in told
        if process.returncode == 0:  # it was faster: once more from the start
            shutil.rmtree(tmp_path / "war" / "outputs")
        else:
            killed += 1
    assert killed == kills
    ended = nst(*arguments, cwd=tmp_path / "war")
    assert ended.returncode == 0, ended.stderr
    resumed += "resuming from step" in ended.stderr
    assert resumed >= 1
    folders = [run_folder(tmp_path / place) for place in ("peace", "war")]
    assert folders[0] is not None and folders[1] is not None
    assert folders[0].name == folders[1].name
    assert contents(folders[1]) == contents(folders[0])
    assert not (folders[1] / checkpoint_file.NAME).exists()
    print(f"{case}: {killed} kills, {resumed} times gone on")


@slow
def test_a_sweep_killed_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is finished stays as it is, the rest goes on; all of it as in a sweep left in peace."""
    chance = random.Random("sweep")
    arguments = ["-m", *BASE, "init=noise,content", "style=waves,mosaic", "logger=none"]
    count = 4
    peace, war = tmp_path / "peace", tmp_path / "war"
    for place in (peace, war):
        place.mkdir()
    monkeypatch.chdir(peace)
    assert invoke(arguments) == 0
    finished: dict[Path, int] = {}
    killed, resumed, outlived = 0, 0, 0
    for _ in range(60):
        if killed == 12:
            break
        began = time.time()
        process = started(arguments, war)
        if killed % 3 == 0:  # between two runs, or early in the next
            wait_until(partial(_more, war, len(finished)), process)
        if killed % 3 < 2:
            wait_for_checkpoint(process, war, began)
            time.sleep(chance.random() * 0.4)
        else:
            time.sleep(chance.random() * 15)
        process.kill()
        _, told = process.communicate()
        resumed += told.count("resuming from step")
        assert finals(war).items() >= finished.items()
        finished = finals(war)
        outlived += len(finished)
        if process.returncode == 0:  # it was faster: once more from the start
            shutil.rmtree(war / "outputs")
            finished = {}
        else:
            killed += 1
    assert killed == 12
    assert outlived >= 1
    monkeypatch.chdir(war)
    capsys.readouterr()
    assert invoke(arguments) == 0
    told = capsys.readouterr().err
    resumed += told.count("resuming from step")
    assert resumed >= 1
    ends = {"finished before": len(finished), "completed": count - len(finished)}
    last = told.splitlines()[-1].removeprefix("sweep: ").split(", ")
    assert {*last} == {f"{number} {end}" for end, number in ends.items() if number}
    assert finals(war).items() >= finished.items()
    assert [path.name for path in finals(war)] == [path.name for path in finals(peace)]
    assert len(finals(war)) == count
    for ours, theirs in zip(finals(war), finals(peace), strict=True):
        assert contents(ours) == contents(theirs)
    pictures = [sorted(place.glob("outputs/sweeps/*/side_by_side.png")) for place in (peace, war)]
    assert pictures[1][-1].read_bytes() == pictures[0][0].read_bytes()
    print(f"sweep: {killed} kills, {resumed} times gone on")


def _more(cwd: Path, finished: int) -> bool:
    return len(finals(cwd)) > finished


def finals(cwd: Path) -> dict[Path, int]:
    """The folders of finished runs, and when their pictures were written."""
    found = sorted((cwd / "outputs" / "runs").glob("*/final.png"))
    return {
        path.parent: path.stat().st_mtime_ns
        for path in found
        if read_facts(path.parent).get("status") == "completed"
    }


# Ctrl-C is typed in a terminal below
@pytest.mark.parametrize("number", first_of([signal.SIGTERM, signal.SIGINT]), ids=lambda n: n.name)
def test_interrupted(number: signal.Signals, tmp_path: Path) -> None:
    """The first signal keeps where it stood; W&B has every step once, and so has the table."""
    arguments = [*BASE, "init=noise"]
    process = started(arguments, tmp_path)
    wait_for_checkpoint(process, tmp_path)
    process.send_signal(number)
    _, told = process.communicate()
    assert process.returncode == 128 + number
    assert f"interrupted by {number.name}: run the same command again to resume" in told
    assert "Traceback" not in told
    folder = run_folder(tmp_path)
    assert folder is not None
    facts = json.loads((folder / "run.json").read_text())
    assert facts["status"] == "interrupted"
    stand = checkpoint_file.load(folder, facts["signature"])
    assert stand is not None
    assert stand.step == facts["steps"] == len(stand.rows)
    (told_of,) = [record["run"] for record in wandb_records(folder) if "run" in record]
    ended = nst(*arguments, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    (again,) = [record["run"] for record in wandb_records(folder) if "run" in record]
    assert again["run_id"] == told_of["run_id"]
    assert f"resuming from step {stand.step}" in ended.stderr
    history = wandb_history(wandb_records(folder))  # fails if a step is there twice
    assert sorted(history) == list(range(STEPS + 1))
    for step, items in history.items():
        kept = step % 7 == 0 or step == STEPS
        assert any(key.startswith("snapshot") for key in items) == kept
    times = [row["seconds"] for row in csv.DictReader((folder / "metrics.csv").open())]
    assert [float(text) for text in times] == sorted(float(text) for text in times)


def test_two_at_once(tmp_path: Path) -> None:
    """One computes, the other waits and returns the same run, also of a renamed picture."""
    arguments = [*BASE, "init=noise", "logger=none"]
    pair = [started([*arguments, name], tmp_path) for name in two_names(tmp_path)]
    told = [process.communicate() for process in pair]
    assert [process.returncode for process in pair] == [0, 0]
    assert told[0][0].splitlines()[-1] == told[1][0].splitlines()[-1]
    both = told[0][1] + told[1][1]
    assert both.count("already finished") == 1
    assert both.count(f"step {STEPS}/{STEPS}") == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_resuming_with_another_number_of_threads_says_so(
    threads: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In one line; it is the same run."""
    settings = ("image.size=32", "steps=4", "logger=none", f"outputs={tmp_path}")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with pytest.raises(NstError, match="stopped by the Trainer"):
            execute([prepared(*settings, "+trainer.max_steps=2")])
        (folder,) = (tmp_path / "runs").iterdir()
        assert read_facts(folder)["threads"] == 1
        torch.set_num_threads(threads)
        assert execute([prepared(*settings)]) == [folder]
    finally:
        torch.set_num_threads(before)
    assert read_facts(folder)["threads"] == threads
    told = [each.getMessage() for each in caplog.records if "resumes with" in each.getMessage()]
    assert [each.split(": ")[1].split(";")[0] for each in told] == [
        "resumes with threads 1, now 2"
    ] * (threads - 1)


def test_what_has_changed_between_two_machines() -> None:
    here = {**machine.facts(torch.device("cpu")), "packages": package_versions()}
    assert machine.changes(here, here) == []
    assert machine.changes({}, here) == []  # of a version that did not record it
    known = {"device": "cpu", "processor": "A", "instruction_sets": ["AVX2"], "threads": 1}
    other = {"device": "H100", "processor": "B", "instruction_sets": ["AVX512", "AMX"]}
    packages = ({"torch": "2.9.0", "wandb": "0.31.0"}, {"torch": "2.9.1", "wandb": "0.31.1"})
    assert machine.changes(
        {**known, "packages": packages[0]}, {**other, "threads": 2, "packages": packages[1]}
    ) == [
        "device cpu, now H100",
        "processor A, now B",
        "instruction sets AVX2, now AVX512+AMX",
        "threads 1, now 2",
        "torch 2.9.0, now 2.9.1",
    ]


def stand() -> Checkpoint:
    return Checkpoint(
        "abc",
        3,
        1.5,
        torch.rand(3, 4, 4),
        {"s": torch.rand(2, 2)},
        [{"step": 0.0}],
        (2.5, 2, torch.rand(3, 4, 4)),
    )


def test_checkpoint_is_what_was_saved(tmp_path: Path) -> None:
    saved = stand()
    checkpoint_file.save(tmp_path, saved)
    found = checkpoint_file.load(tmp_path, "abc")
    assert found is not None
    assert torch.equal(found.image, saved.image)
    assert found.best[:2] == saved.best[:2]
    assert torch.equal(found.best[2], saved.best[2])
    assert torch.equal(found.optimizer["s"], saved.optimizer["s"])
    assert (found.step, found.seconds, found.rows) == (3, 1.5, [{"step": 0.0}])


@pytest.mark.parametrize("harm", ["cut", "altered", "empty", "other run"])
def test_a_harmed_checkpoint_is_set_aside(
    harm: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint_file.save(tmp_path, stand())
    path = tmp_path / checkpoint_file.NAME
    content = bytearray(path.read_bytes())
    if harm == "altered":
        content[len(content) // 2] ^= 1
    elif harm == "cut":
        content = content[: len(content) // 2]
    elif harm == "empty":
        content = bytearray()
    path.write_bytes(content)
    assert checkpoint_file.load(tmp_path, "xyz" if harm == "other run" else "abc") is None
    assert str(path) in caplog.text
    assert [item.name for item in tmp_path.iterdir()] == ["checkpoint.refused"]
    assert checkpoint_file.load(tmp_path, "abc") is None  # and nothing more is said


def test_no_checkpoint(tmp_path: Path) -> None:
    assert checkpoint_file.load(tmp_path, "abc") is None


@pytest.mark.parametrize(
    "limit", ["max_time='00:00:00:01'", "max_steps=5", "limit_train_batches=5"]
)
def test_stopped_by_the_trainer(limit: str, tmp_path: Path) -> None:
    """What else may end a Trainer early is no finished run either."""
    settings = ("image.size=48", "steps=4000", "logger=none", f"outputs={tmp_path}")
    with pytest.raises(NstError, match="stopped by the Trainer"):
        execute([prepared(*settings, f"+trainer.{limit}")])
    (folder,) = (tmp_path / "runs").iterdir()
    facts = read_facts(folder)
    assert facts["status"] == "interrupted"
    found = checkpoint_file.load(folder, facts["signature"])
    assert found is not None
    assert 0 < found.step == facts["steps"] < 4000
    assert not (folder / "final.png").exists()


@pytest.mark.parametrize("optimizer", first_of(["lbfgs", "adam"]))
def test_a_batch_of_runs_that_stood_at_different_steps(optimizer: str, tmp_path: Path) -> None:
    """Each goes on from where it was; results are those of runs left in peace, but for rounding."""
    tiny = ("image.size=32", "steps=6", "snapshot_every=2", "logger=none", f"optimizer={optimizer}")
    own = [("init=noise", "seed=1"), ("init=noise", "seed=2"), ("style=waves",), ("style=mosaic",)]

    def runs(place: str, *more: str) -> list[Run]:
        return [prepared(*tiny, *each, *more, f"outputs={tmp_path / place}") for each in own]

    peace = execute(runs("peace"))
    for index, limit in ((0, 2), (1, 4), (2, 4)):
        with pytest.raises(NstError, match="stopped by the Trainer"):
            execute([runs("war", f"+trainer.max_steps={limit}")[index]])
    plain = StyleTransfer.on_train_start
    with mock.patch.object(StyleTransfer, "on_train_start", autospec=True) as began:
        began.side_effect = plain
        war = execute(runs("war"))
    assert [call.args[0].first for call in began.call_args_list] == [2, 4, 0]
    for before, after in zip(peace, war, strict=True):
        losses = [
            [float(row["loss/total"]) for row in contents(folder)["rows"]]
            for folder in (before, after)
        ]
        assert losses[1] == pytest.approx(losses[0], rel=1e-2)


def test_a_checkpoint_holds_only_filled_slots(tmp_path: Path) -> None:
    """Few pairs make a small checkpoint, and it is restored to the room that there was."""
    settings = ("image.size=32", "steps=9", "logger=none", f"outputs={tmp_path}")
    with pytest.raises(NstError):
        execute([prepared(*settings, "optimizer.first_step=null", "+trainer.max_steps=3")])
    (folder,) = (tmp_path / "runs").iterdir()
    found = checkpoint_file.load(folder, read_facts(folder)["signature"])
    assert found is not None
    assert int(found.optimizer["kept"]) == 2
    assert found.optimizer["s"].shape[:2] == found.optimizer["y"].shape[:2] == (1, 2)
    image = torch.nn.Parameter(found.image[None])
    whole = LBFGS([image])
    whole.restore([found.optimizer])
    assert whole.state[image]["s"].shape[:2] == (1, GROWTH)
    assert torch.equal(whole.state_of(0)["s"], found.optimizer["s"])
    assert whole.state[image]["s"][:, 2:].eq(0).all()


@pytest.mark.parametrize("checkpoints", [0.0, 0.4], ids=["none before", "some before"])
def test_checkpoints_stay_within_their_share(checkpoints: float) -> None:
    """What one will cost is known before the first."""
    tracker = Tracker([cast(Any, None)], 1, 0.0, cast(Any, None), Interrupts())
    module = mock.Mock()
    module.active = [0]
    module.image = torch.zeros(1)
    module.optimizer_state.return_value = {"s": torch.zeros(25_000_000)}  # 100 MB
    tracker.checkpoint_cost = checkpoints
    seconds = (1e8 * SECONDS_PER_BYTE + checkpoints) / CHECKPOINT_SHARE
    with mock.patch("time.perf_counter", return_value=seconds - 1):
        assert not tracker._may_save(module)
    with mock.patch("time.perf_counter", return_value=seconds + 1):
        assert tracker._may_save(module)


SECOND = """
import hashlib
from nst.runner.signals import STOPPING, Interrupts
interrupts = Interrupts()
interrupts.listen()
print("listens", flush=True)
hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # not back at Python's handlers for minutes
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_the_second_signal_leaves_at_once(number: signal.Signals) -> None:
    """Even while the main thread is far from Python, as in a backward pass."""
    with subprocess.Popen([sys.executable, "-c", SECOND], stdout=subprocess.PIPE, text=True) as it:
        try:
            assert it.stdout is not None
            assert it.stdout.readline() == "listens\n"
            it.send_signal(number)
            # It must not end. Below SAME, a second SIGTERM would repeat the first, also where the
            # first was only read late.
            with pytest.raises(subprocess.TimeoutExpired):
                it.wait(5 * SAME)
            it.send_signal(number)
            assert it.wait(60) == 128 + number
        finally:
            it.kill()


@slow
def test_ctrl_c_twice_in_a_terminal(tmp_path: Path) -> None:
    """Typed in a real terminal, in the middle of a step of about a second."""
    ours, theirs = os.openpty()
    code = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"  # keys become signals
    code += "from nst.cli.main import main; main()"
    words = ["image.size=320", "optimizer=adam", "layers.style=[conv1_1]", "logger=none"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        shown = b""
        while b"total" not in shown:  # the first step is done; an end of the process is an error
            shown += os.read(ours, 65536)
        os.write(ours, b"\x03")
        time.sleep(0.2)
        os.write(ours, b"\x03")
        with suppress(OSError):  # the terminal is gone with the process
            while more := os.read(ours, 65536):
                shown += more
        assert process.wait(LIMIT) == 128 + signal.SIGINT
    finally:
        process.kill()
    assert b"\x1b[?25h" in shown[-20:]
    assert b"Traceback" not in shown
    folder = run_folder(tmp_path)
    assert folder is not None
    assert read_facts(folder)["status"] == "running"  # no time to say more
