"""``import nst``: what it returns, and that it does what the command does."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.errors import HydraException
from omegaconf import OmegaConf
from PIL import Image

import nst
from nst.api.arguments import words
from nst.runner import checkpoint_file
from nst.transfer.module import StyleTransfer
from nst.utils.errors import ConfigError, NstError
from tests import helpers

TINY: dict[str, Any] = {"image": {"size": 32}, "steps": 3, "snapshot_every": 1, "logger": "none"}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_importing_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, nst; heavy = {'torch', 'numpy', 'hydra', 'pandas', 'PIL'} & {*sys.modules};"
        "assert not heavy, heavy; assert {*nst.__all__} <= {*dir(nst)}; from nst import run, runs;"
        "import nst.runner.execute; assert nst.runs is runs and callable(nst.report)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = nst.nothing


def test_a_run() -> None:
    run = nst.run("schedule=single", init="noise", **TINY)
    assert run.status == "completed"
    assert run.folder.is_dir() and run.folder.parent == Path("outputs/runs").absolute()
    assert run.image.mode == "RGB" and min(run.image.size) == 32
    assert list(run.snapshots) == [0, 1, 2, 3] and run.snapshots[3].tobytes() == run.image.tobytes()
    assert list(run.metrics["step"]) == [0, 1, 2, 3]
    assert run.metrics["loss/total"].iloc[-1] == run.measures["loss"] < run.metrics["loss/total"][0]
    assert run.config.init.name == "noise" and run.config.image.size == 32
    with pytest.raises(KeyError, match=r"no snapshot at step 7; .*: 0, 1, 2, 3"):
        _ = run.snapshots[7]
    shown = run._repr_html_()
    assert run.name in shown and "data:image/png;base64" in shown
    assert re.findall('alt="(.*?)"', shown) == ["result", "content", "style"]
    again = nst.run("schedule=single", init="noise", **TINY)  # found, not computed
    assert again.folder == run.folder and again.record.facts == run.record.facts


def test_the_folder_is_that_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["init=noise", "image.size=32", "steps=3", "snapshot_every=1", "logger=none"]
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "ours")
    ours = nst.run(*words)
    ended = helpers.nst(*words, cwd=tmp_path / "theirs")
    assert ended.returncode == 0, ended.stderr
    (theirs,) = nst.runs(tmp_path / "theirs" / "outputs")
    assert theirs.name == ours.name
    files, own = (
        {path.relative_to(run.folder) for path in run.folder.rglob("*") if path.is_file()}
        for run in (theirs, ours)
    )
    assert files == own
    for file in files - {Path("run.json"), Path("metrics.csv"), Path("config.yaml")}:
        assert (theirs.folder / file).read_bytes() == (ours.folder / file).read_bytes(), file
    losses = [run.metrics.drop(columns="seconds") for run in (ours, theirs)]
    assert losses[0].equals(losses[1])
    configs = [
        (run.folder / "config.yaml").read_text().replace(f"/{name}/outputs", "").splitlines()
        for name, run in (("ours", ours), ("theirs", theirs))
    ]
    different = {a for a, b in zip(*configs, strict=True) if a != b}
    assert {line.split(":")[0].strip() for line in different} == {"wandb_id"}  # random


def test_the_same_pixels_are_the_same_run(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    forms = [
        tmp_path / "photo.png",
        "photo.png",
        Image.fromarray(pixels),
        pixels,
        torch.from_numpy(pixels).permute(2, 0, 1),
        torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255,
        pixels.astype(np.float64) / 255,
    ]
    found = [nst.run(content=form, style=pixels[:, ::-1], **TINY) for form in forms]
    assert len({run.record.facts["signature"] for run in found}) == 1
    assert len({run.folder for run in found}) == 1
    other = nst.run(content=255 - pixels, style=pixels[:, ::-1], **TINY)
    assert other.folder != found[0].folder
    kept = list(Path("outputs/pictures").iterdir())
    assert len(kept) == 3  # each once
    assert Path(str(other.config.content.path)) in [path.absolute() for path in kept]
    assert np.array_equal(np.asarray(Image.open(str(other.config.content.path))), 255 - pixels)


def test_arguments() -> None:
    typed = words(
        ["seed=0,1"],
        {
            "init": ["noise", "content"],
            "weights": {"style": [1e5, np.float32(2)], "tv": None},
            "layers": {"style": [["conv1_1", "conv2_1"]]},
            "preset": "report",
            "force": True,
            "content": "astronaut",
            "study": "a, b",
        },
        swept=True,
    )
    assert typed == [
        "seed=0,1",
        "init=noise,content",
        "weights.style=100000.0,2.0",
        "weights.tv=null",
        "layers.style=[conv1_1,conv2_1]",
        "+preset=report",
        "force=true",
        "content=astronaut",
        'study="a, b"',
    ]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"style": np.zeros((5, 7, 6))}, "style.path=5x7x6: is no picture"),
        ({"style": np.full((20, 20), 3.0)}, "style.path=3 to 3: values must be from 0 to 1"),
        ({"style": np.full((20, 20), np.nan)}, "style.path=nan to nan: values"),
        ({"seed": np.zeros(3)}, "seed=ndarray: takes no picture"),
    ],
)
def test_what_is_no_picture(keys: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        nst.run(**keys, **TINY)
    assert str(raised.value).startswith(problem)
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    "wrong",
    ["init=nois", "image.size=-3", "weigths.style=3", "content=nothere.jpg", "steps", "layers=[1"],
)
def test_errors_have_the_line_of_the_command(wrong: str) -> None:
    with pytest.raises(NstError) as raised:
        nst.run(wrong)
    ended = helpers.nst(wrong, cwd=Path())
    assert ended.stderr == f"nst: {raised.value}\n"
    assert ended.returncode == raised.value.exit_status


def test_several_options_are_a_sweep() -> None:
    with pytest.raises(ConfigError, match=r"init=\[noise,content\]: 2 options make a sweep"):
        nst.run(init=["noise", "content"], **TINY)
    assert not Path("outputs").exists()


def test_tracebacks_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ({"init": "nois"}, {"image": {"size": -3}}):
        with pytest.raises(NstError) as raised:
            nst.run(**wrong)
        error = raised.value
        assert len(traceback.format_exception(error)) <= 4, traceback.format_exception(error)
    monkeypatch.setenv("NST_FULL_ERROR", "1")
    with pytest.raises(HydraException) as whole:
        nst.run(init="nois")
    assert len(traceback.format_exception(whole.value)) > 4


def test_a_sweep(recwarn: pytest.WarningsRecorder, capsys: pytest.CaptureFixture[str]) -> None:
    found = nst.sweep("seed=0,1", init=["noise", "content"], **TINY)
    assert capsys.readouterr().out == ""  # the folders, for shells
    assert len(found) == 3  # from the photo, the seed changes nothing
    frame = found.frame()
    assert list(frame["init"]) == ["noise", "content", "noise"]
    assert frame["loss"].notna().all() and list(frame.index) == [run.name for run in found]
    rows = found.metrics
    assert len(rows) == 12 and set(rows["init"]) == {"noise", "content"}
    assert list(rows[rows["name"] == found[1].name]["step"]) == [0, 1, 2, 3]
    assert isinstance(found[:2], nst.Runs) and isinstance(found[0], nst.Run)
    assert found.compare().is_file()
    assert [run.name for run in nst.runs("sweep=last", init="noise")] == [
        run.name for run in found if run.config.init.name == "noise"
    ]
    assert not [each for each in recwarn.list if str(each.message).startswith("job")]
    with pytest.raises(NstError, match="no run matches"):
        nst.runs(init="style")
    with pytest.raises(NstError, match=r"no run has such a key"):
        nst.runs(inti="style")


def test_a_sweep_with_a_job_that_is_refused() -> None:
    with pytest.warns(UserWarning, match=r"job 1: layers.style=\[conv9_9\]: "):
        found = nst.sweep("layers.style=[conv1_1],[conv9_9]", init="noise", **TINY)
    assert len(found) == 1
    with pytest.raises(NstError, match=r"^layers.style=\[conv9_9\]: "):
        nst.sweep("layers.style=[conv9_9],[conv8_8]", **TINY)
    with pytest.raises(NstError, match=r"^init=nois: no such option"):
        nst.sweep(init=["noise", "nois"], **TINY)


def test_compose() -> None:
    before = OmegaConf.to_yaml(nst.compose(**TINY))
    config = nst.compose("schedule=single", preset="report", image={"size": 64})
    assert config.image.size == 64 and config.layers.content == ["conv4_2"]
    assert OmegaConf.to_yaml(nst.compose(**TINY)) == before
    assert not Path("outputs").exists()


def test_under_a_running_event_loop() -> None:
    async def cell() -> nst.Run:
        loop = asyncio.get_running_loop()
        heard: list[int] = []
        loop.add_signal_handler(signal.SIGUSR1, heard.append, 1)
        run = nst.run(init="noise", **TINY)
        os.kill(os.getpid(), signal.SIGUSR1)  # the loop still hears of signals
        await asyncio.sleep(0.5)
        assert heard == [1]
        return run

    assert asyncio.run(cell()).status == "completed"


def test_in_another_thread() -> None:
    found: list[nst.Run] = []
    thread = threading.Thread(target=lambda: found.append(nst.run(init="noise", **TINY)))
    thread.start()
    thread.join()
    assert [run.status for run in found] == ["completed"]


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_leaves_a_checkpoint(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """The second one, before the step has ended, raises; it does not end the process."""
    step = StyleTransfer.training_step

    def interrupting(self: StyleTransfer, number: int, batch_idx: int) -> Any:
        if number == 2:
            monkeypatch.setattr(StyleTransfer, "training_step", step)
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
        return step(self, number, batch_idx)

    keys = {**TINY, "steps": 6, "init": "noise", "checkpoint_seconds": 0}
    monkeypatch.setattr(StyleTransfer, "training_step", interrupting)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        nst.run(**keys)
    assert signal.getsignal(signal.SIGINT) is before
    (run,) = nst.runs(init="noise")
    assert run.status == "interrupted" and (run.folder / checkpoint_file.NAME).exists()
    done = nst.run(**keys)
    assert done.folder == run.folder and done.status == "completed"
    whole = nst.run(**keys, outputs="whole")
    assert done.image.tobytes() == whole.image.tobytes()


def test_many_runs_in_one_process() -> None:
    """Neither memory nor open files pile up, and no run of W&B is left open."""
    import wandb

    def state() -> tuple[float, int, int]:
        gc.collect()
        status = Path("/proc/self/status").read_text()
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        open_files = len([*Path("/proc/self/fd").iterdir()])
        return int(resident.split()[1]) / 1024, open_files, threading.active_count()

    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    keys = {**TINY, "logger": "wandb", "init": "noise", "force": True}
    nst.run("logger.wandb.mode=offline", **keys)
    nst.run("logger.wandb.mode=offline", **keys)
    memory, files, threads = state()
    for _ in range(20):
        nst.run("logger.wandb.mode=offline", **keys)
        assert wandb.run is None
    later = state()
    assert later[0] - memory < 100
    assert later[1] <= files + 2
    assert later[2] <= threads + 1
    assert len(nst.runs()) == 22


def test_the_report() -> None:
    page = nst.report("two_noises", run=True, image={"size": 32}, steps=2, seed=0, logger="none")
    assert Path(page).is_file() and "report/index.html" in page._repr_html_()
    with pytest.raises(NstError, match="overrides are for --run"):
        nst.report("two_noises", steps=2)
