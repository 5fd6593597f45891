"""Computing in strips equals computing whole: losses, gradients, targets, for any size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nst.vgg import network, tiling
from nst.vgg.tiling import Strip
from tests.helpers import STYLE_LOSSES, module, prepared, tiny_run


def _evaluated(
    monkeypatch: pytest.MonkeyPatch, tiling: str, *overrides: str
) -> tuple[dict[str, Tensor], Tensor, int]:
    """Losses, gradient, and how many strips the shallowest layer was read in."""
    settings = ["init=noise", "steps=1", "image.size=34", f"backbone.tiling={tiling}"]
    make = tiny_run if overrides else prepared
    run = make(*settings, *overrides)
    channels = len(run.resolved.weights.convolutions[0][0])
    monkeypatch.setattr(network, "STRIP_BYTES", channels * 6 * 50 * 8)  # three rows of two
    made = module([run, run], torch.float64)
    losses = made.objective(made.image)
    losses["total"].sum().backward()
    assert made.image.grad is not None
    taken = made.backbone.read(made.image, lambda layer, features, strip: {layer: features})
    return losses, made.image.grad, max(len(values) for values in taken.values())


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["backbone.padding=replicate"],
        ["backbone.padding=circular", "image.size=48", "weights.tv=1"],
        ["backbone.padding=circular", "task=texture_synthesis", "image.size=32"],
        ["backbone.pooling=l2", "layers.style=[relu1_2,conv2_2]"],
        ["backbone.pooling=average", "layers.style=[relu1_2,conv2_2,relu3_4]"],
        ["image.size=33"],  # the last strip would be one row, which cannot be pooled
        ["task=texture_synthesis", "image.size=37"],
        *([f"style_loss={name}"] for name in STYLE_LOSSES if name != "gram"),
        ["content_loss=self_similarity"],
    ],
)
def test_strips_equal_the_whole(overrides: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    losses, gradient, count = _evaluated(monkeypatch, "always", *overrides)
    whole_losses, whole_gradient, whole = _evaluated(monkeypatch, "never", *overrides)
    assert (count > 2, whole) == (True, 1)
    assert losses.keys() == whole_losses.keys()
    for name, value in losses.items():
        torch.testing.assert_close(value, whole_losses[name], rtol=1e-10, atol=1e-14)
    scale = whole_gradient.abs().max().item()
    torch.testing.assert_close(gradient, whole_gradient, rtol=0, atol=1e-10 * scale)


@pytest.mark.parametrize("height", [1, 2, 3, 7, 64, 65, 66, 67])
@pytest.mark.parametrize("count", [1, 2, 5, 100])
def test_strips_are_every_row_once(height: int, count: int) -> None:
    found = tiling.strips(height, margin=2, count=count)
    assert [row for strip in found for row in range(height)[strip.rows]] == list(range(height))
    assert sum(strip.share for strip in found) == pytest.approx(1)
    assert len(found) <= count
    for strip in found:
        assert strip.rows.start % 2 == 0
        assert strip.rows.stop - strip.rows.start >= min(2, height)
        assert strip.seen == slice(max(strip.rows.start - 2, 0), min(strip.rows.stop + 2, height))


def test_strips_only_where_features_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Strip] = []

    def reader(layer: str, features: Tensor, strip: Strip) -> dict[str, Tensor]:
        found.append(strip)
        return {}

    made = module([prepared("image.size=32", "steps=1")])
    # of block 1, two layers
    for limit, whole in ((tiling.WHOLE_BYTES, True), (2 * 64 * 32 * 48 * 4 - 1, False)):
        monkeypatch.setattr(network, "WHOLE_BYTES", limit)
        monkeypatch.setattr(network, "STRIP_BYTES", 10_000)
        found.clear()
        made.backbone.read(made.image, reader)
        assert all(strip.share == 1 for strip in found) == whole
