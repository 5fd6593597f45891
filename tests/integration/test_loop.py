"""The loop needs no callback, and judges on its own which images have diverged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image, ImageChops

from nst import images
from nst.runner.networks import network
from nst.runner.trainer import build_trainer
from nst.transfer.divergence import LONGEST_RECOVERY, Divergence
from nst.transfer.module import StyleTransfer
from tests.helpers import execute, prepared

pytestmark = pytest.mark.usefixtures("tiny_backbone")

CPU = torch.device("cpu")
NOTHING, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    "settings",
    [
        ("optimizer=lbfgs", "schedule=pyramid", "image.size=64"),
        ("optimizer=adam", "image.size=32"),
    ],
    ids=["lbfgs", "adam"],
)
def test_without_callbacks_the_picture_is_the_same(
    settings: tuple[str, ...], tmp_path: Path
) -> None:
    run = prepared(
        *settings, "steps=8", "precision=32", "init=noise", "logger=none", f"outputs={tmp_path}"
    )
    (folder,) = execute([run])
    module = StyleTransfer(network(run, run.taps, "32"), [run])
    trainer = build_trainer(run.config)
    trainer.callbacks.clear()  # type: ignore[attr-defined]
    trainer.fit(module)
    final = Image.open(folder / "final.png")
    assert ImageChops.difference(images.to_image(module.image[0]), final).getbbox() is None


def test_an_image_that_diverges_stops_the_trainer(tmp_path: Path) -> None:
    run = prepared("image.size=32", "steps=9", "init=noise", "logger=none", "weights.style=1e39")
    module = StyleTransfer(network(run, run.taps, "32"), [run])
    trainer = build_trainer(run.config)
    trainer.callbacks.clear()  # type: ignore[attr-defined]
    trainer.fit(module)
    assert trainer.global_step == 1
    assert module.departed[0].reason == "the loss is not finite at step 0"
    assert module.final is None


@pytest.mark.parametrize(
    ("losses", "step", "reason"),
    [
        ([10, 19, 21], 2, "the loss at step 2 is 2.1 times that at the start (divergence=2)"),
        # step 3 begins another scale
        ([10, 19, 19, 30, 59, 61], 5, "the loss at step 5 is 2.03 times that at the start"),
        ([1, 9, 11], 2, "the loss at step 2 is 2.2 times that of an image without features"),
        ([10, INFINITE], 1, "the loss is not finite at step 1"),
        ([10, NOTHING], 1, "the loss is not finite at step 1"),
        ([10, 20, 20], -1, ""),
    ],
)
def test_what_has_diverged(losses: list[float], step: int, reason: str) -> None:
    """Beside an image that has not, and wherever the run was interrupted."""
    for resumed in range(len(losses)):
        judge = Divergence([2.0, None], starts=[0, 3], device=CPU)
        judge.restore(0, losses[:resumed])
        judge.restore(1, [1e9] * resumed)
        for number in range(resumed, len(losses)):
            both = torch.tensor([losses[number], 1e9])
            judge.update(number, both, both, torch.tensor([5.0, 5.0]))
        assert judge.step.tolist() == [step, -1]
        if step >= 0:
            assert judge.reason(0).startswith(reason)


def test_a_recovery_has_an_end() -> None:
    judge = Divergence([2.0], starts=[0], device=CPU)
    one = torch.ones(1)
    judge.update(0, one, one, one)
    for step in range(1, LONGEST_RECOVERY + 1):
        assert judge.step.item() == -1
        judge.update(step, one * INFINITE, one, one)  # undone: the next step starts from before it
    assert judge.step.item() == LONGEST_RECOVERY
    undone = f"at steps 1 to {LONGEST_RECOVERY}, each of them undone and shortened"
    assert judge.reason(0) == f"the loss is not finite {undone}"
