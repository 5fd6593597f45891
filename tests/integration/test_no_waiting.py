"""A step asks the device for no number: on a GPU it would wait for all that is queued there."""

from __future__ import annotations

import pytest
from torch import Tensor

from nst.transfer.module import StyleTransfer
from tests.helpers import STYLE_LOSSES, as_on_a_gpu, optimise, tiny_run

SMALL = ("image.size=32", "steps=9", "schedule.precise=0", "weights.tv=1")


def _on_meta(*overrides: str) -> StyleTransfer:
    """Two runs as a GPU would have them, on the device that has shapes and no numbers."""
    runs = [tiny_run(*SMALL, *overrides, f"init={init}") for init in ("noise", "content")]
    return as_on_a_gpu(runs, "bf16", "meta")


@pytest.mark.parametrize("optimizer", ["lbfgs", "lbfgs_textbook", "adam"])
@pytest.mark.parametrize("tiling", ["never", "always"])
def test_no_step_reads_a_number(optimizer: str, tiling: str) -> None:
    losses = optimise(_on_meta(f"optimizer={optimizer}", f"backbone.tiling={tiling}"), 4)
    assert losses["total"].is_meta
    assert losses["total"].shape == (5, 2)


@pytest.mark.parametrize("loss", [*STYLE_LOSSES, "spectrum", "self_similarity"])
def test_no_loss_reads_a_number(loss: str) -> None:
    own = {
        "spectrum": "weights.spectrum=1",
        "self_similarity": "content_loss=self_similarity",
    }.get(loss, f"style_loss={loss}")
    assert optimise(_on_meta(own), 2)["total"].is_meta


def test_a_run_that_may_end_early_reads_no_number() -> None:
    until = ("until.loss=1", "until.plateau=0.1", "until.window=1")
    assert optimise(_on_meta(*until), 4)["total"].is_meta


def test_a_number_that_is_read_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = _on_meta()
    evaluate = made.objective.__call__

    def nosy(image: Tensor) -> dict[str, Tensor]:
        found = evaluate(image)
        found["total"].sum().item()
        return found

    monkeypatch.setattr(made, "objective", nosy)
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        optimise(made, 1)
