"""Winograd's convolutions against PyTorch's: values, gradients, and how exact they are."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nst.vgg.circular import CircularConv
from nst.vgg.cpu.winograd import WinogradConv
from nst.vgg.network import VGG
from tests.helpers import convolution_case, embedded


@pytest.mark.parametrize(
    "shape", [(1, 5, 7, 8, 12), (2, 4, 3, 9, 13), (3, 3, 5, 1, 2), (1, 2, 2, 1, 1), (2, 3, 4, 2, 7)]
)
def test_equals_the_direct_convolution(shape: tuple[int, int, int, int, int]) -> None:
    x, weight, bias = (tensor.double() for tensor in convolution_case(*shape))
    ours = x.clone().requires_grad_()
    theirs = x.clone().requires_grad_()
    found = WinogradConv(weight, bias, torch.float64)(ours)
    expected = torch.conv2d(theirs, weight, bias, padding=1)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    gradient = torch.randn_like(expected)
    found.backward(gradient)
    expected.backward(gradient)
    assert ours.grad is not None
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("dtype", "times"), [(torch.float32, 1.2), (torch.bfloat16, 2.5)])
def test_rounding_against_the_direct_convolution(dtype: torch.dtype, times: float) -> None:
    # In float32 it rounds less than oneDNN's direct code; in bfloat16 the products of the tiles
    # are rounded once more before they are summed.
    x, weight, bias = convolution_case(1, 256, 256, 16, 24)
    exact = torch.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    direct = torch.conv2d(x.to(dtype), weight.to(dtype), bias.to(dtype), padding=1)
    found = WinogradConv(weight, bias, dtype)(x.to(dtype))
    assert found.dtype == dtype
    assert (found.double() - exact).norm() <= times * (direct.double() - exact).norm()


def test_only_where_there_are_many_channels_and_a_frame_of_zeros() -> None:
    def kinds(**settings: object) -> list[type[nn.Module]]:
        network = VGG(embedded(), "vgg19", ["conv3_1"], **settings)  # type: ignore[arg-type]
        return [type(network.layers[f"conv{name}"]) for name in ("1_1", "2_2", "3_1")]

    assert kinds(winograd=True) == [nn.Conv2d, nn.Conv2d, WinogradConv]
    assert kinds(winograd=False) == [nn.Conv2d] * 3
    assert kinds(winograd=True, padding="replicate") == [nn.Conv2d] * 3
    assert kinds(winograd=True, padding="circular") == [CircularConv] * 3


def test_features_are_the_same() -> None:
    image = torch.rand(2, 3, 50, 70)
    taps = ["conv3_1", "relu4_2", "conv5_1"]
    direct = VGG(embedded(), "vgg19", taps)(image)
    for name, value in VGG(embedded(), "vgg19", taps, winograd=True)(image).items():
        assert (value - direct[name]).norm() < 1e-5 * direct[name].norm()


def test_odd_sizes_may_be_changed_in_place() -> None:
    """As the ReLU behind it does; what is cut from whole tiles must be no view."""
    for height, width in ((1, 1), (1, 3), (2, 3), (5, 5)):
        x, weight, bias = convolution_case(1, 3, 4, height, width)
        found = WinogradConv(weight, bias, torch.float32)(x.requires_grad_())
        found.relu_().sum().backward()
        assert x.grad is not None
