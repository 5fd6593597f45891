"""Sorting rows on the CPU: the values exactly, their order to a resolution."""

from __future__ import annotations

import pytest
import torch

from nst.losses.sorting import VALUE_BITS, sorted_rows


@pytest.mark.parametrize("shape", [(2, 3, 7), (1, 5, 2**16 + 1), (1, 2, 2**18 + 1), (3, 1)])
def test_as_pytorch_sorts(shape: tuple[int, ...]) -> None:
    """Values that are further apart than the resolution, and the gradient of each."""
    values = torch.rand(shape).argsort(dim=-1).float()
    if shape[-1] > 2**VALUE_BITS:  # some are closer than the resolution: their order is free
        values = values.round(decimals=-2)
    one, other = (values.clone().requires_grad_() for _ in range(2))
    given, wanted = sorted_rows(one), other.sort(dim=-1, stable=True).values
    torch.testing.assert_close(given, wanted, rtol=0, atol=0)
    weights = torch.randn(shape)
    (given * weights).sum().backward()
    (wanted * weights).sum().backward()
    torch.testing.assert_close(one.grad, other.grad, rtol=0, atol=0)


def test_values_closer_than_the_resolution_exchange_their_gradients_at_most() -> None:
    values = torch.randn(1, 50_000).requires_grad_()
    ranks = torch.arange(50_000.0)[None]
    (sorted_rows(values) * ranks).sum().backward()
    assert values.grad is not None
    in_order = values.detach()[0, values.grad[0].argsort()]
    error = (in_order - values.detach()[0].sort().values).abs().max()
    assert 0 < error <= 2**-VALUE_BITS * (values.max() - values.min())


def test_equal_values_and_ones_that_diverged() -> None:
    values = torch.tensor([[2.0, 2.0, 2.0], [float("nan"), 1.0, 0.0], [float("inf"), 1.0, 0.0]])
    values.requires_grad_()
    given = sorted_rows(values)
    assert given[0].tolist() == [2, 2, 2]
    assert given[1, :2].tolist() == [0, 1]
    assert given[2].tolist() == [0, 1, float("inf")]
    given.sum().backward()
    assert values.grad is not None and values.grad.eq(1).all()


def test_columns_of_a_transposed_matrix() -> None:
    matrix = torch.randn(40, 6).requires_grad_()
    (sorted_rows(matrix.mT) * torch.arange(40.0)).sum().backward()
    wanted = matrix.detach().argsort(0).argsort(0)
    torch.testing.assert_close(matrix.grad, wanted.float())
