"""Products as convolutions against products as such, and where they are used."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
from torch import Tensor

from nst import losses
from nst.vgg.cpu import onednn, winograd
from tests.helpers import convolution_case


def _features(count: int, channels: int) -> Tensor:
    torch.manual_seed(0)
    features = torch.randn(count, channels, 6, 9)
    return features.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("count", [1, 3])
def test_products(count: int) -> None:
    features = _features(count, 5).double()
    matrices = torch.randn(count, 4, 5).double()
    rows, weights = torch.randn(7, count, 5).double(), torch.randn(count, 2, 5).double()
    for found, equation, given in (
        (onednn.gram(features), "nihw,njhw->nij", (features, features)),
        (onednn.mixed(features, matrices), "nihw,nji->njhw", (features, matrices)),
        (onednn.grouped(rows, weights), "pgi,gji->pgj", (rows, weights)),
    ):
        torch.testing.assert_close(found, torch.einsum(equation, *given), rtol=0, atol=1e-12)
    assert onednn.mixed(features, matrices).is_contiguous(memory_format=torch.channels_last)


def test_only_float32_on_a_cpu_that_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr(onednn, "_FASTER", True)
    assert onednn.is_faster(torch.float32, cpu)
    assert not onednn.is_faster(torch.bfloat16, cpu)
    assert not onednn.is_faster(torch.float64, cpu)
    assert not onednn.is_faster(torch.float32, torch.device("meta"))
    monkeypatch.setattr(onednn, "_FASTER", False)
    assert not onednn.is_faster(torch.float32, cpu)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("count", [1, 2])
def test_gram_matrices_either_way(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, count: int
) -> None:
    found = []
    for faster in (False, True):
        monkeypatch.setattr(onednn, "_FASTER", faster)
        features = _features(count, 8).to(dtype).requires_grad_()
        gram = losses.gram_matrix(features)
        gram.square().sum().backward()
        assert features.grad is not None
        assert features.grad.is_contiguous(memory_format=torch.channels_last)
        found.append((gram.detach(), features.grad))
    for plain, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("height", "grouped"), [(25, False), (29, True)])
def test_convolutions_of_many_tiles_either_way(
    monkeypatch: pytest.MonkeyPatch, height: int, grouped: bool
) -> None:
    """In small images the direct convolution takes their place."""
    x, weight, bias = convolution_case(2, 6, 4, height, 13)
    spy = mock.Mock(wraps=onednn.grouped)
    monkeypatch.setattr(onednn, "grouped", spy)
    winograds = mock.Mock(wraps=winograd._convolved)
    monkeypatch.setattr(winograd, "_convolved", winograds)
    found = []
    for faster in (False, True):
        monkeypatch.setattr(onednn, "_FASTER", faster)
        seen = x.clone().requires_grad_()
        output = winograd.WinogradConv(weight, bias, torch.float32)(seen)
        output.square().sum().backward()
        assert seen.grad is not None
        found.append((output.detach(), seen.grad))
    assert spy.call_count == 2 * grouped  # forward and backward, where it is faster
    assert winograds.call_count == 2 + 2 * grouped
    for plain, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-5)
