"""The last steps in float32: when they begin, what they compute, that a run goes on with them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image, ImageChops

from nst.runs.record import read_facts
from nst.runs.signature import signature
from nst.transfer import targets
from nst.transfer.module import Evaluated, StyleTransfer
from nst.transfer.run import Run
from nst.utils.errors import NstError
from nst.vgg.network import VGG
from tests.helpers import execute, first_of, module, optimise, prepared, resolved

SMALL = ("image.size=32", "logger=none", "precision=bf16", "init=noise")


@pytest.mark.parametrize(
    ("overrides", "first"),
    [
        (("steps=20", "schedule.precise=0.1"), 18),
        (("steps=20", "schedule.precise=0"), 20),
        (("steps=20", "schedule.precise=1"), 0),
        # of the ten at the final size
        (("steps=20", "schedule=pyramid", "schedule.precise=0.2", "image.size=64"), 18),
    ],
)
def test_when_they_begin(overrides: tuple[str, ...], first: int) -> None:
    assert prepared(*SMALL, *overrides).float32_from == first


def test_they_compute_with_the_other_backbone() -> None:
    run = prepared(*SMALL, "steps=4", "schedule.precise=0.5")
    rough, exact = module([run], torch.bfloat16), module([run])
    seen: list[torch.dtype] = []
    rough.float32_backbone = exact.backbone
    step = StyleTransfer.training_step

    def watched(made: StyleTransfer, number: int, batch_idx: int) -> Evaluated:
        seen.append(made.objective.backbone.dtype)
        return step(made, number, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StyleTransfer, "training_step", watched)
        last = optimise(rough)["total"][-1]
    assert seen == [torch.bfloat16] * 2 + [torch.float32] * 2
    # what the result is told to be is the float32 objective's
    exact.image = rough.image
    torch.testing.assert_close(last, exact.evaluate()["total"])


def test_the_signature_knows_them_only_where_they_differ() -> None:
    one, other = (prepared(*SMALL, "steps=20", f"schedule.precise={share}") for share in (0, 0.5))

    def signed(run: Run, precision: str) -> str:
        return signature(resolved(run, precision=precision))

    assert signed(one, "bf16") != signed(other, "bf16")
    assert signed(one, "32") == signed(other, "32")


@pytest.mark.parametrize("stop", first_of([3, 1]))
def test_a_run_goes_on_before_and_within_them(stop: int, tmp_path: Path) -> None:
    settings = (*SMALL, "steps=4", "schedule.precise=0.5")
    (whole,) = execute([prepared(*settings, f"outputs={tmp_path / 'whole'}")])
    broken = (*settings, f"outputs={tmp_path / 'broken'}")
    with pytest.raises(NstError):
        execute([prepared(*broken, f"+trainer.max_steps={stop}")])
    (gone_on,) = execute([prepared(*broken)])
    first, second = (Image.open(folder / "final.png") for folder in (whole, gone_on))
    assert ImageChops.difference(first, second).getbbox() is None
    assert read_facts(whole)["losses"] == read_facts(gone_on)["losses"]


def test_targets_are_computed_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of the same picture, layers and size in a sweep, whatever batch the runs are in."""
    monkeypatch.setattr(targets, "_cache", type(targets._cache)())
    seen: list[tuple[int, ...]] = []
    computed = targets._computed

    def counted(kind: str, backbone: VGG, image: torch.Tensor, layers: list[str]) -> object:
        seen.append(tuple(image.shape))
        return computed(kind, backbone, image, layers)

    monkeypatch.setattr(targets, "_computed", counted)
    common = (*SMALL, "precision=32", "steps=1", f"outputs={tmp_path}")
    execute([prepared(*common, "seed=0"), prepared(*common, "seed=1")])
    assert len(seen) == 4  # a content and a style, for the objective and for the measures
    execute([prepared(*common, "seed=2", "weights=mild")])
    assert len(seen) == 4
    execute([prepared(*common, "seed=3", "style=waves")])
    assert len(seen) == 6


def test_the_cache_forgets_what_was_used_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "_cache", type(targets._cache)())
    made = module([prepared(*SMALL, "precision=32", "steps=1")])
    run = made.runs[0]
    assert run.style is not None
    layers = ["conv1_1", "conv1_2"]
    one = targets.gram_matrices(made.backbone, run.style, (32, 32), ["conv1_1"])["conv1_1"]
    monkeypatch.setattr(targets, "CACHE_BYTES", 2 * one.nbytes)
    targets.gram_matrices(made.backbone, run.style, (32, 40), layers)
    assert [key[-2:] for key in targets._cache] == [((32, 40), name) for name in layers]
