"""The last steps in float32: when they begin, what they compute, that a run goes on with them."""

from __future__ import annotations

import pytest
import torch

from nst.losses import Gram
from nst.runner.signature import signature
from nst.transfer import descriptions
from nst.transfer.module import StepOutput, StyleTransfer
from nst.transfer.run import Run
from tests.helpers import module, optimise, prepared, resolved, tiny_run

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
    run = tiny_run(*SMALL, "steps=4", "schedule.precise=0.5")
    rough, exact = module([run], torch.bfloat16), module([run])
    seen: list[torch.dtype] = []
    rough.float32_backbone = exact.backbone
    step = StyleTransfer.training_step

    def watched(made: StyleTransfer, number: int, batch_idx: int) -> StepOutput:
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


def test_the_cache_forgets_what_was_used_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptions, "_cache", type(descriptions._cache)())
    made = module([prepared(*SMALL, "precision=32", "steps=1")])
    run = made.runs[0]
    assert run.style is not None
    layers = ["conv1_1", "conv1_2"]
    first = Gram().terms(layers[:1])
    one = descriptions.descriptions(Gram(), made.backbone, run.style, (32, 32), first)["conv1_1"]
    monkeypatch.setattr(descriptions, "CACHE_BYTES", 2 * one.nbytes)
    descriptions.descriptions(Gram(), made.backbone, run.style, (32, 40), Gram().terms(layers))
    assert [key[-3:] for key in descriptions._cache] == [
        ((32, 40), (name,), None) for name in layers
    ]
