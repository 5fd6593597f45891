"""A step asks the device for no number: on a GPU it would wait for all that is queued there."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nst import build
from nst.module import StyleTransfer
from tests.helpers import optimise, prepared

SMALL = ("image.size=32", "steps=9", "schedule.precise=0", "weights.tv=1")


def _on_meta(*overrides: str) -> StyleTransfer:
    """Two runs as a GPU would have them, on the device that has shapes and no numbers."""
    runs = [prepared(*SMALL, *overrides, f"init={init}") for init in ("noise", "content")]
    taps = set().union(*(run.taps for run in runs))
    network = build.backbone(runs[0].config, taps, "bf16", torch.device("cuda"))
    made = StyleTransfer(network, runs, build.optimizer(runs[0].config)).to("meta")
    optimizer = made.configure_optimizers()
    made.optimizers = lambda use_pl_optimizer=True: optimizer  # type: ignore[method-assign,assignment]
    made.on_train_start()
    return made


@pytest.mark.parametrize("optimizer", ["lbfgs", "lbfgs_textbook", "adam"])
@pytest.mark.parametrize("tiling", ["never", "always"])
def test_no_step_reads_a_number(optimizer: str, tiling: str) -> None:
    losses = optimise(_on_meta(f"optimizer={optimizer}", f"backbone.tiling={tiling}"), 4)
    assert losses["total"].is_meta
    assert losses["total"].shape == (5, 2)


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
