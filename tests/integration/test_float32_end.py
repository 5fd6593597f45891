"""Runs that end in float32: resumed, and their targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageChops

from nst.losses import Loss
from nst.runner.record import read_facts
from nst.transfer import descriptions
from nst.utils.errors import NstError
from nst.vgg.network import VGG
from tests.helpers import execute, first_of, tiny_run

pytestmark = pytest.mark.usefixtures("tiny_backbone")

SMALL = ("image.size=32", "logger=none", "precision=bf16", "init=noise")


@pytest.mark.parametrize("stop", first_of([3, 1]))
def test_a_run_goes_on_before_and_within_them(stop: int, tmp_path: Path) -> None:
    settings = (*SMALL, "steps=4", "schedule.precise=0.5")
    (whole,) = execute([tiny_run(*settings, f"outputs={tmp_path / 'whole'}")])
    broken = (*settings, f"outputs={tmp_path / 'broken'}")
    with pytest.raises(NstError):
        execute([tiny_run(*broken, f"+trainer.max_steps={stop}")])
    (gone_on,) = execute([tiny_run(*broken)])
    first, second = (Image.open(folder / "final.png") for folder in (whole, gone_on))
    assert ImageChops.difference(first, second).getbbox() is None
    assert read_facts(whole)["losses"] == read_facts(gone_on)["losses"]


def test_targets_are_computed_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of the same picture, layers and size in a sweep, whatever batch the runs are in."""
    monkeypatch.setattr(descriptions, "_cache", type(descriptions._cache)())
    seen: list[tuple[int, ...]] = []
    computed = descriptions._computed

    def counted(loss: Loss, backbone: VGG, image: torch.Tensor, *rest: Any) -> object:
        seen.append(tuple(image.shape))
        return computed(loss, backbone, image, *rest)

    monkeypatch.setattr(descriptions, "_computed", counted)
    common = (*SMALL, "precision=32", "steps=1", f"outputs={tmp_path}")
    execute([tiny_run(*common, "seed=0"), tiny_run(*common, "seed=1")])
    assert len(seen) == 4  # a content and a style, for the objective and for the measures
    execute([tiny_run(*common, "seed=2", "weights=mild")])
    assert len(seen) == 4
    execute([tiny_run(*common, "seed=3", "style=waves")])
    assert len(seen) == 6
