"""Many runs in one process: what a finished run leaves behind, and what the next one gets of it."""

from __future__ import annotations

import csv
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from hydra.core.utils import JobReturn

from nst import build, main, vgg
from nst.errors import DivergedError
from nst.main import invoke
from nst.module import StyleTransfer
from nst.vgg import VGG
from tests.helpers import config

PICTURES = ("content.path=builtin:chelsea", "style.path=builtin:brick", "init=noise")
LAYERS = ("layers.content=[conv2_1]", "layers.style=[conv1_1,conv3_1]", "normalize=textbook")
TINY = (*PICTURES, *LAYERS, "image.size=32", "steps=3", "snapshot_every=1", "logger=none")
VECTORIZED = ("hydra/launcher=vectorized", "hydra.launcher.max_batch_size=1")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has its own outputs, and no networks of earlier ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(build, "_convolutions", {})


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
def test_finished_runs_are_freed_at_once(
    overrides: tuple[str, ...], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the collector: it would come after some twenty runs, of 20 to 400 MB each."""
    modules, networks, trainers = (
        watch(kind, monkeypatch) for kind in (StyleTransfer, VGG, L.Trainer)
    )
    ended: list[tuple[int, int, int]] = []
    configs: list[int] = []
    finish = main.finish

    def finished(*args: Any) -> str | None:
        path = finish(*args)
        ended.append((len(modules), len(networks), len(trainers)))
        returns = [each for each in gc.get_objects() if isinstance(each, JobReturn)]
        configs.append(sum(each.cfg is not None for each in returns))
        return path

    monkeypatch.setattr(main, "finish", finished)
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
    for name in ("_convolution", "WinogradConv"):
        make = getattr(vgg, name)

        def counted(*args: Any, name: str = name, make: Any = make) -> torch.nn.Module:
            found.append(name)
            made: torch.nn.Module = make(*args)
            return made

        monkeypatch.setattr(vgg, name, counted)
    return found


CPU = torch.device("cpu")


def test_a_network_gets_the_convolutions_of_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its layers, pooling and tiling; more layers need only those that are missing."""
    one = config(*TINY)
    found = prepared_convolutions(monkeypatch)
    with build.backbones(one, {"conv2_1"}, ["32"], CPU):
        assert found == ["_convolution"] * 3
    found.clear()
    other = config(*TINY, "backbone.pooling=average", "backbone.tiling=always")
    with build.backbones(other, {"conv1_1", "relu3_1"}, ["32"], CPU):
        assert found == ["_convolution", "WinogradConv"]  # conv2_2 and conv3_1
    found.clear()
    with build.backbones(one, {"conv1_2"}, ["32"], CPU) as networks:
        assert list(networks["32"].layers) == ["conv1_1", "relu1_1", "conv1_2"]
    with build.backbones(one, {"relu3_1"}, ["32"], CPU):
        assert found == []


@pytest.mark.parametrize(
    "change",
    ["backbone.padding=replicate", "normalize=report", "compile=default", "precision=bf16"],
)
def test_other_convolutions_are_freed_before_new_ones_are_prepared(
    change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device may have no room for both."""
    one, other = config(*TINY), config(*TINY, change)
    build.means(other, build.pretrained(other))  # has a network of its own meanwhile
    with build.backbones(one, {"conv1_2"}, ["32"], CPU) as networks:
        old = weakref.ref(networks["32"].layers["conv1_2"])
    del networks
    assert old() is not None
    make, alive = vgg._convolution, []

    def noticed(*args: Any) -> torch.nn.Module:
        alive.append(old() is not None)
        return make(*args)

    monkeypatch.setattr(vgg, "_convolution", noticed)
    precision = "bf16" if "bf16" in change else "32"
    with build.backbones(other, {"conv1_2"}, [precision], CPU):
        assert set(alive) == {False}
    # with late steps in float32 it has both
    with build.backbones(other, {"conv1_2"}, [precision, "32"], CPU):
        pass
    alive.clear()
    with build.backbones(other, {"conv1_2"}, ["32", precision], CPU):
        assert alive == []


def test_what_a_failed_batch_had_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be on two devices; of one that diverged it is as it was."""
    run = config(*TINY)
    found = prepared_convolutions(monkeypatch)

    def end(error: Exception) -> None:
        with build.backbones(run, {"conv1_2"}, ["32"], CPU):
            raise error

    for error, prepared in (
        (DivergedError("diverged"), 2),
        (RuntimeError("out of memory"), 0),
        (DivergedError("diverged"), 2),
    ):
        found.clear()
        with pytest.raises(type(error)):
            end(error)
        assert len(found) == prepared


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
        build._convolutions.clear()
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
