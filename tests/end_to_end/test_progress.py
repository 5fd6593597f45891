"""The progress bar in a real terminal, and the time that it promises."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from datetime import timedelta
from pathlib import Path

import pytest
import torch

from nst.runner.plan import Plan
from nst.runner.progress import ProgressBar
from nst.transfer.schedule import FIXED_PIXELS
from tests.commands import Process
from tests.helpers import execute, first_of, prepared
from tests.helpers import module as make_module


def in_a_terminal(arguments: list[str], cwd: Path, columns: int) -> str:
    """What a person sees of the command, escape sequences taken out."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("CI", "COLUMNS")}
    environment["TERM"] = "xterm-256color"
    process = Process("nst", arguments, cwd, environment, terminal=os.ttyname(theirs))
    seen = b""
    while process.poll() is None or select.select([ours], [], [], 0)[0]:
        if select.select([ours], [], [], 0.1)[0]:
            seen += os.read(ours, 65536)
    assert process.wait() == 0, seen.decode()
    os.close(theirs)
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())


@pytest.mark.parametrize("columns", first_of([80, 160]))
def test_bar(columns: int, tmp_path: Path) -> None:
    tiny = ["image.size=48", "steps=6", "logger=none", "init=noise,content"]
    seen = in_a_terminal(["-m", *tiny], tmp_path, columns)
    lines = re.split(r"[\r\n]+", seen)
    done = [line for line in lines if "6/6" in line]
    for number in ("1/2", "2/2"):
        (line,) = {line for line in done if line.startswith(number)} or {""}
        assert "48 px" in line
        assert re.search(r"total [\d.e+-]+ content [\d.e+-]+ style [\d.e+-]+", line)
        assert line.rstrip().endswith("all 0:00:0" + line.rstrip()[-1])
        assert len(line) <= columns
    assert not any("step 6/6" in line for line in lines)  # those are for files and CI


def test_lines_have_the_size_of_the_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also at the last step of a size."""
    run = prepared(
        *("image.size=64", "schedule=pyramid", "steps=10", "logger=none", "optimizer=adam"),
        *("layers.style=[conv1_1]", "layers.content=[conv1_1]", f"outputs={tmp_path}"),
    )
    execute([run])
    shown = re.findall(r" (\d+) px, step (\d+)/10", capsys.readouterr().err)
    sizes = [scale.size for scale in run.scales for _ in range(scale.start, scale.stop)]
    assert shown == [(str(size), str(step)) for step, size in enumerate(sizes, 1)]


def test_time_left_follows_work_not_count() -> None:
    plan = Plan([1.0, 1.0, 10.0])
    plan.computed(2.0)
    plan.end(0)
    # half of the second job took 1 s: 1 s for the rest of it, 20 s for the third
    assert plan.left(0.5, 1.0) == pytest.approx(21)
    plan.end(1)  # the second was finished already and took no time
    assert plan.left(0.1, 2.0) == pytest.approx(9 * 4 / 2)


def test_time_left_of_one_job() -> None:
    assert Plan([3.0]).left(0.25, 10.0) == pytest.approx(30)
    assert Plan([3.0]).left(1.0, 10.0) == 0


@pytest.mark.parametrize("jobs", [1, 2])
def test_time_left_of_a_run_follows_its_pixels(
    jobs: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """After half of the steps, at the smaller of two sizes, most of the time is left."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    run = prepared(
        *("image.size=64", "schedule.coarsest=32", "steps=4", "logger=none", "optimizer=adam"),
        *("layers.style=[conv1_1]", "layers.content=[conv1_1]", f"outputs={tmp_path}"),
    )
    small, large = run.scales
    assert (small.size, small.stop, large.size, large.stop) == (32, 2, 64, 4)
    module = make_module([run])
    bar = ProgressBar("a run", 4, Plan([1.0] * jobs))
    bar.on_train_start(None, module)  # type: ignore[arg-type]
    losses = dict.fromkeys(("total", "content", "style"), torch.ones(1))
    outputs = {"scale": small, "losses": losses}
    now[0] = 1000.0
    bar.on_train_batch_end(None, module, outputs, 1, 1)  # type: ignore[arg-type]
    larger = 1000 * (64**2 + FIXED_PIXELS) / (32**2 + FIXED_PIXELS)
    left = timedelta(seconds=round(larger + (jobs - 1) * (1000 + larger)))
    text = f"32 px, step 2/4, total 1 content 1 style 1, {'all ' if jobs > 1 else ''}{left}\n"
    assert text in capsys.readouterr().err
