"""Images that wrap around: every part of a run treats opposite borders as neighbours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from nst.config.schema import BackboneConfig, Config, ImageConfig, LayersConfig, ScheduleConfig
from nst.losses import total_variation
from nst.metrics.seam import seam
from nst.transfer.resampling import resampled
from nst.transfer.schedule import scales
from nst.vgg import tiling
from nst.vgg.circular import CircularConv
from nst.vgg.network import VGG
from tests.helpers import (
    STYLE_LOSSES,
    convolution_case,
    module,
    optimise,
    prepared,
    tiny,
    tiny_run,
)

CIRCULAR = "backbone.padding=circular"
TEXTURE = ("task=texture_synthesis", "init=noise", "image.size=32", "style=brick", "steps=8")
SHALLOW = "layers.style=[conv1_1,conv2_1,relu3_2]"
STRIDE = 4  # of relu3_2


def _shifted(image: Tensor) -> Tensor:
    return image.roll((STRIDE, -3 * STRIDE), (2, 3))


def _relative_changes(*overrides: str) -> dict[str, float]:
    """By how much each loss of a texture changes, relatively, when the image is shifted."""
    made = module([tiny_run(*TEXTURE, SHALLOW, *overrides)], torch.float64)
    with torch.no_grad():
        losses, shifted = made.objective(made.image), made.objective(_shifted(made.image))
    return {
        name: abs(float(value / shifted[name]) - 1) for name, value in losses.items() if value > 0
    }


@pytest.mark.parametrize("loss", STYLE_LOSSES)
def test_shifting_the_image_changes_no_loss(loss: str) -> None:
    weights = ("weights.tv=1", "weights.spectrum=1")
    changes = _relative_changes(CIRCULAR, f"style_loss={loss}", *weights)
    assert {"total", "style", "tv", "spectrum", "style/conv1_1"} <= changes.keys()
    assert max(changes.values()) < 1e-6  # targets are in float32


def test_with_other_padding_it_does() -> None:
    for padding in ("zeros", "replicate"):
        changes = _relative_changes(f"backbone.padding={padding}")
        assert min(changes.values()) > 1e-4


def test_a_run_from_shifted_noise_ends_shifted() -> None:
    """All of it: losses, the optimiser's filter, the steps, and the change of scale."""
    halves = ("schedule=single", "schedule.sizes=[0.5,1]", "schedule.steps=[1,1]", "weights.tv=1")

    def results(*overrides: str) -> tuple[Tensor, Tensor]:
        run = tiny_run(*TEXTURE, SHALLOW, *halves, *overrides)
        one, other = module([run], torch.float64), module([run], torch.float64)
        other.image.data = _shifted(other.image.data)
        for made in (one, other):
            optimise(made)
        # twice as far at twice the size
        return _shifted(_shifted(one.image.detach())), other.image.detach()

    torch.testing.assert_close(*results(CIRCULAR), rtol=0, atol=1e-6)
    one, other = results()
    assert (one - other).abs().mean() > 0.01


def test_a_style_picture_does_not_wrap_around() -> None:
    """Its borders do not fit: with circular padding its target would have a seam."""
    found = {
        padding: module([tiny_run(*TEXTURE, f"backbone.padding={padding}")]).objective
        for padding in ("circular", "replicate", "zeros")
    }
    targets = {name: [each.target for each in own.comparisons] for name, own in found.items()}
    for one, other, third in zip(*targets.values(), strict=True):
        assert torch.equal(one, other)
        assert not torch.allclose(one, third)


def test_a_content_picture_has_the_features_of_the_image() -> None:
    run = tiny_run("task=content_reconstruction", CIRCULAR, "image.size=32", "steps=1")
    assert module([run]).evaluate()["total"].item() == 0


def test_unwrapped_shares_the_convolutions() -> None:
    wrapped, plain = (
        VGG(tiny(), "vgg19", ["conv2_1"], padding=padding) for padding in ("circular", "replicate")
    )
    found, image = wrapped.unwrapped(), torch.rand(1, 3, 16, 16)
    assert torch.equal(found(image)["conv2_1"], plain(image)["conv2_1"])
    assert not torch.equal(found(image)["conv2_1"], wrapped(image)["conv2_1"])
    assert found.key == plain.key != wrapped.key
    pairs = zip(found.parameters(), wrapped.parameters(), strict=True)
    assert all(one.data_ptr() == other.data_ptr() for one, other in pairs)
    assert plain.unwrapped() is plain


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (16, 8)])
def test_the_convolution_is_pytorchs(height: int, width: int) -> None:
    _, weight, bias = convolution_case(1, 5, 7, height, width)
    peer = nn.Conv2d(5, 7, 3, padding=1, padding_mode="circular", dtype=torch.float64)
    peer.weight.data, peer.bias.data = weight.double(), bias.double()  # type: ignore[union-attr]
    ours = CircularConv(weight, bias, torch.float64)
    x = torch.randn(2, 5, height, width, dtype=torch.float64)
    x = x.to(memory_format=torch.channels_last).requires_grad_()
    torch.testing.assert_close(ours(x), peer(x))
    upstream = torch.randn(2, 7, height, width, dtype=torch.float64)
    gradients = [torch.autograd.grad(conv(x), x, upstream)[0] for conv in (ours, peer)]
    torch.testing.assert_close(*gradients)


def test_total_variation_by_hand() -> None:
    image = torch.tensor([[0.0, 0.5, 1.0]]).expand(1, 3, 2, 3)
    assert total_variation(image).item() == pytest.approx(0.25)
    assert total_variation(image, wraps=True).item() == pytest.approx((0.25 + 0.25 + 1) / 3)


@pytest.mark.parametrize("shape", [(24, 40), (18, 30), (16, 24), (9, 15), (13, 21), (12, 20)])
def test_resampling_is_that_of_endless_copies(shape: tuple[int, int]) -> None:
    image = torch.rand(2, 3, 12, 20, dtype=torch.float64)
    height, width = shape
    copies = F.interpolate(
        image.repeat(1, 1, 3, 3), (3 * height, 3 * width), mode="bicubic", align_corners=False
    )
    expected = copies[:, :, height : 2 * height, width : 2 * width]
    torch.testing.assert_close(resampled(image, shape, wraps=True), expected)


def test_strips_see_the_other_end() -> None:
    found = tiling.strips(8, margin=2, count=2, wraps=True)
    assert [strip.seen for strip in found] == [slice(-2, 6), slice(2, 10)]
    assert tiling.pieces(found[0].seen, 8) == [slice(6, 8), slice(0, 6)]
    assert tiling.pieces(found[1].seen, 8) == [slice(2, 8), slice(0, 2)]
    assert tiling.pieces(slice(-3, 5), 2) == [
        slice(1, 2),
        *([slice(0, 2)] * 3),
        slice(0, 1),
    ]
    (whole,) = tiling.strips(8, margin=2, count=1, wraps=True)
    assert whole.seen == slice(0, 8)  # the padding of the convolutions continues it


def _sizes(padding: str, layer: str) -> list[tuple[int, float]]:
    config = Config(
        image=ImageConfig(160),
        steps=9,
        task="texture_synthesis",
        layers=LayersConfig([], [layer]),
        schedule=ScheduleConfig("s", [0.05, 0.25, 0.6, 1.0], [1, 1, 1, 1]),
        backbone=BackboneConfig("vgg19", "embedded", padding=padding),
    )
    return [(scale.size, scale.fraction) for scale in scales(config)]


def test_scales_are_multiples_of_the_deepest_stride() -> None:
    assert _sizes("zeros", "conv_13") == [(8, 0.05), (40, 0.25), (96, 0.6), (160, 1.0)]
    expected = [(16, 0.1), (32, 0.2), (96, 0.6), (160, 1.0)]  # 8 is half of 16; 40 is halfway
    assert _sizes("circular", "conv_13") == expected
    assert _sizes("circular", "conv3_1") == [(8, 0.05), (40, 0.25), (96, 0.6), (160, 1.0)]


def test_the_longer_side_is_rounded() -> None:
    run = prepared("content=chelsea", "image.size=64", CIRCULAR)  # 451x300 px
    assert run.shape(run.scales[-1]) == (64, 96)
    assert prepared("content=chelsea", "image.size=64").shape(run.scales[-1]) == (64, 96)
    run = prepared("content=chelsea", "image.size=80", CIRCULAR)
    assert run.shape(run.scales[-1]) == (80, 128)  # 120 without


def _stripes(levels: list[int]) -> NDArray[np.uint8]:
    """A picture of 4 equal rows, with a column of each level."""
    return np.broadcast_to(np.array(levels, np.uint8)[None, :, None], (4, len(levels), 3))


def test_seam_by_hand() -> None:
    assert seam(_stripes([0, 10, 30, 20])) == 1  # |20 - 0| as |10 - 30|
    assert seam(_stripes([0, 10, 20, 30])) == 3
    assert seam(_stripes([0, 100, 200, 10])) == pytest.approx(10 / 190)
    assert seam(_stripes([0, 10, 20, 30]).swapaxes(0, 1)) == 3  # rows count as columns do
    assert seam(_stripes([7, 7, 7])) == 0
    assert seam(_stripes([255, 128, 0])) == pytest.approx(255 / 128)  # bytes do not overflow


def test_seam_of_pictures() -> None:
    """The quarter of a picture does not tile; its mirror images together do."""
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 1, (64, 64, 3)).cumsum(0).cumsum(1)
    quarter = np.clip(128 + grain, 0, 255).astype(np.uint8)
    assert seam(quarter) > 3
    half = np.concatenate([quarter, quarter[:, ::-1]], 1)
    assert seam(np.concatenate([half, half[::-1]])) < 1
