"""Many runs in one process: what a finished run leaves behind, and what the next one gets of it."""

from __future__ import annotations

import csv
import functools
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from hydra.core.utils import JobReturn
from PIL import Image

from nst.cli.main import invoke
from nst.runner import networks as networks_module
from nst.runner.networks import means, networks
from nst.runner.record import COMPLETED, FAILED, RunRecord
from nst.sweeps import contact_sheet, summary_table
from nst.sweeps.jobs import Jobs
from nst.sweeps.sweep_folder import JobOutcome
from nst.transfer.module import StyleTransfer
from nst.transfer.run import Run
from nst.utils.errors import DivergedError, NstError
from nst.vgg import network
from nst.vgg.network import VGG
from tests.helpers import prepared, resolved

PICTURES = ("content.path=builtin:chelsea", "style.path=builtin:brick", "init=noise")
LAYERS = ("layers.content=[conv2_1]", "layers.style=[conv1_1,conv3_1]", "normalize=textbook")
TINY = (*PICTURES, *LAYERS, "image.size=32", "steps=3", "snapshot_every=1", "logger=none")
VECTORIZED = ("hydra/launcher=vectorized", "hydra.launcher.max_batch_size=1")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has its own outputs, and no networks of earlier ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(networks_module, "_convolutions", {})


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Python's collector of cycles does not run by itself."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def watch(kind: type, monkeypatch: pytest.MonkeyPatch) -> weakref.WeakSet[Any]:
    """The objects of a kind that are alive, of those made from now on."""
    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    begin = kind.__init__  # type: ignore[misc]

    @functools.wraps(begin)  # the Trainer's arguments are read from its signature
    def watched(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        alive.add(self)

    monkeypatch.setattr(kind, "__init__", watched)
    return alive


class Failing(L.Callback):
    """Ends a run after its first step."""

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("as it is told to")


@pytest.mark.parametrize(
    ("overrides", "status"),
    [
        ((), 0),
        ((*VECTORIZED, "precision=bf16", "schedule.precise=0.5"), 0),
        ((f"+trainer.callbacks=[{{_target_: {__name__}.Failing}}]",), 1),
    ],
    ids=["plain", "vectorized, late float32", "failed"],
)
@pytest.mark.usefixtures("uncollected")
@pytest.mark.filterwarnings("ignore")  # of what becomes of some object once it is looked at
@pytest.mark.usefixtures("tiny_backbone")
def test_finished_runs_are_freed_at_once(
    overrides: tuple[str, ...], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the collector: it would come after some twenty runs, of 20 to 400 MB each."""
    modules, networks, trainers = (
        watch(kind, monkeypatch) for kind in (StyleTransfer, VGG, L.Trainer)
    )
    ended: list[tuple[int, int, int]] = []
    configs: list[int] = []
    finish = Jobs.finish

    def finished(*args: Any) -> Any:
        path = finish(*args)
        ended.append((len(modules), len(networks), len(trainers)))
        returns = [each for each in gc.get_objects() if isinstance(each, JobReturn)]
        configs.append(sum(each.cfg is not None for each in returns))
        return path

    monkeypatch.setattr(Jobs, "finish", finished)
    assert invoke(["-m", "seed=0,1", *TINY, *overrides]) == status
    measuring = 1  # the measures have a network of their own, which stays
    assert all(
        (modules, trainers) == (0, 0) and networks <= measuring
        for modules, networks, trainers in ended
    ), ended
    assert configs == [1, 1]  # Hydra keeps those of no job but the one that it is at


def prepared_convolutions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of convolutions that are prepared from now on."""
    found: list[str] = []
    make = network._convolution

    def counted(*args: Any) -> torch.nn.Module:
        made = make(*args)
        found.append(type(made).__name__)
        return made

    monkeypatch.setattr(network, "_convolution", counted)
    return found


def on_cpu(*overrides: str) -> Run:
    return resolved(prepared(*TINY, *overrides), device=torch.device("cpu"))


def test_a_network_gets_the_convolutions_of_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its layers, pooling and tiling; more layers need only those that are missing."""
    one = on_cpu()
    found = prepared_convolutions(monkeypatch)
    with networks(one, {"conv2_1"}, ["32"]):
        assert found == ["Conv2d"] * 3
    found.clear()
    other = on_cpu("backbone.pooling=average", "backbone.tiling=always")
    with networks(other, {"conv1_1", "relu3_1"}, ["32"]):
        assert found == ["Conv2d", "WinogradConv"]  # conv2_2 and conv3_1
    found.clear()
    with networks(one, {"conv1_2"}, ["32"]) as found_networks:
        assert list(found_networks["32"].layers) == ["conv1_1", "relu1_1", "conv1_2"]
    with networks(one, {"relu3_1"}, ["32"]):
        assert found == []


@pytest.mark.parametrize(
    "change",
    ["backbone.padding=replicate", "normalize=report", "compile=default", "precision=bf16"],
)
def test_other_convolutions_are_freed_before_new_ones_are_prepared(
    change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device may have no room for both."""
    one, other = on_cpu(), on_cpu(change)
    means(other.config, other.resolved.weights)  # has a network of its own meanwhile
    with networks(one, {"conv1_2"}, ["32"]) as found:
        old = weakref.ref(found["32"].layers["conv1_2"])
    del found
    assert old() is not None
    make, alive = network._convolution, []

    def noticed(*args: Any) -> torch.nn.Module:
        alive.append(old() is not None)
        return make(*args)

    monkeypatch.setattr(network, "_convolution", noticed)
    precision = "bf16" if "bf16" in change else "32"
    with networks(other, {"conv1_2"}, [precision]):
        assert set(alive) == {False}
    # with late steps in float32 it has both
    with networks(other, {"conv1_2"}, [precision, "32"]):
        pass
    alive.clear()
    with networks(other, {"conv1_2"}, ["32", precision]):
        assert alive == []


def test_what_a_failed_batch_had_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be on two devices; of one that diverged it is as it was."""
    run = on_cpu()
    found = prepared_convolutions(monkeypatch)

    def end(error: Exception) -> None:
        with networks(run, {"conv1_2"}, ["32"]):
            raise error

    for error, count in (
        (DivergedError("diverged"), 2),
        (RuntimeError("out of memory"), 0),
        (DivergedError("diverged"), 2),
    ):
        found.clear()
        with pytest.raises(type(error)):
            end(error)
        assert len(found) == count


@pytest.mark.usefixtures("tiny_backbone")
def test_the_result_does_not_depend_on_the_runs_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit: deeper, shallower, with other pooling, in strips, with a late end in float32."""
    variants = [
        ("backbone.pooling=average",),
        ("layers.style=[conv1_1,relu3_2]", "backbone.tiling=always"),
        ("layers.style=[relu1_1,conv3_1]", "precision=bf16", "schedule.precise=0.5"),
    ]
    for variant in variants:
        assert invoke([*TINY, "precision=32", "outputs=after", *variant]) == 0
    for variant in variants:
        networks_module._convolutions.clear()
        assert invoke([*TINY, "precision=32", "outputs=alone", *variant]) == 0
    after, alone = (sorted(Path(each, "runs").iterdir()) for each in ("after", "alone"))
    assert [path.name for path in after] == [path.name for path in alone]
    assert len(after) == len(variants)
    for one, other in zip(after, alone, strict=True):
        assert (one / "final.png").read_bytes() == (other / "final.png").read_bytes()
        assert _losses(one) == _losses(other)


def _losses(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def finished_run(folder: Path, seed: int, size: tuple[int, int] = (30, 20), *steps: int) -> Path:
    """A run folder with its pictures: snapshots at these steps, and the result."""
    (folder / "snapshots").mkdir(parents=True)
    (folder / "config.yaml").write_text(f"seed: {seed}\n")
    for step in (*steps, 99):
        Image.new("RGB", size).save(folder / "snapshots" / f"{step:05d}.png")
    Image.new("RGB", size, (2 * seed, 0, 0)).save(folder / "final.png")
    return folder


def test_a_hundred_runs_are_set_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of 103; decoded one after the other. The table has the same, undecoded."""
    folders = [finished_run(tmp_path / str(seed), seed) for seed in range(103)]
    decoded, most = [], 0
    decode = contact_sheet.cell

    def watched(path: Path) -> Image.Image:
        nonlocal most
        cell = decode(path)
        decoded.append(weakref.ref(cell))
        most = max(most, sum(each() is not None for each in decoded))
        return cell

    monkeypatch.setattr(contact_sheet, "cell", watched)
    runs = [*map(RunRecord, folders)]
    sheet, note = contact_sheet.side_by_side(runs, "COMMAND")
    assert note == "the first 100 of 103 runs; all of them: COMMAND"
    assert len(decoded) == 100
    assert most <= 2
    # a row is 180 px high, with 10 px below; 30 px for the names of the columns, and for the note
    assert sheet.height == 30 + 100 * 190 + 30
    reds = np.asarray(sheet)[30 + 90 : -30 : 190, :, 0]
    assert [int(row[-135]) for row in reds] == [2 * seed for seed in range(100)]
    assert (np.asarray(sheet)[-30:] < 128).any()  # the note
    whole, nothing = contact_sheet.side_by_side(runs[:100])
    assert (whole.height, nothing) == (30 + 100 * 190, "")

    ended = [JobOutcome(number, COMPLETED, folder) for number, folder in enumerate(folders)]
    ended[1] = JobOutcome(1, FAILED, None, "for a reason")
    opened = Image.open
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", None)
        found = summary_table.summary(
            ended, dict(zip(folders, runs, strict=True)), [], tmp_path / "no picture", "COMMAND"
        )
    assert Image.open is opened
    assert [row["job"] for row in found.rows] == list(range(100))
    assert found.note == "the first 100 of 103 jobs; all of them: COMMAND"
    assert found.folders == [folder for folder in folders if folder.name != "1"]  # for wandb sync
    assert found.rows[7]["final"]().getpixel((0, 0)) == (14, 0, 0)
    assert found.rows[7]["snapshots"]().size == (270, 180)
    assert found.rows[1]["final"] is None


@pytest.mark.parametrize(
    ("size", "steps", "rows"),
    [
        # 18,000 px wide at 180 px high: 2 rows of 190 px are 6.9 million
        ((1000, 10), [()] * 20, 2),
        # every run adds a column of 190 px: 14 rows and 15 columns are 7.8 million
        ((20, 20), [(step,) for step in range(20)], 14),
    ],
    ids=["wide", "many columns"],
)
def test_the_picture_is_one_that_pillow_opens(
    size: tuple[int, int],
    steps: list[tuple[int, ...]],
    rows: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert contact_sheet.PIXELS < Image.MAX_IMAGE_PIXELS
    monkeypatch.setattr(contact_sheet, "PIXELS", 8_000_000)
    folders = [
        finished_run(tmp_path / str(seed), seed, size, *each) for seed, each in enumerate(steps)
    ]
    sheet, note = contact_sheet.side_by_side([*map(RunRecord, folders)])
    assert note.startswith(f"the first {rows} of 20 runs; ")
    assert sheet.width * sheet.height <= 8_000_000


def test_a_run_too_wide_for_a_picture(tmp_path: Path) -> None:
    """A row of 190 px may be 400,000 px wide."""
    folder = finished_run(tmp_path / "run", 0, (5000, 2))
    with pytest.raises(NstError, match="the first run alone needs more than 80,000,000 pix"):
        contact_sheet.side_by_side([RunRecord(folder)])


@pytest.mark.usefixtures("tiny_backbone")
def test_a_sweep_whose_picture_fails_ends_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table of its jobs is on the terminal, with a line that says why, and the status is 0."""
    arguments = ["-m", "seed=0,1", *TINY, "steps=1", "outputs=mine"]
    monkeypatch.setattr(contact_sheet, "ROWS", 1)
    assert invoke(arguments) == 0
    line = "the first 1 of 2 runs; all of them: nst-report compare sweep=last --outputs mine"
    assert line in capsys.readouterr().err
    for error, told in (
        (MemoryError(), "out of memory: "),
        (Image.DecompressionBombError("too large"), "DecompressionBombError: too large"),
    ):

        def fail(*args: Any, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(contact_sheet, "side_by_side", fail)
        assert invoke(arguments) == 0
        ended = capsys.readouterr().err
        assert f"nst: no side-by-side picture: {told}" in ended
        assert "sweep: 2 finished before" in ended
        assert "Traceback" not in ended
