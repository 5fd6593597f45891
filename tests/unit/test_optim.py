"""The optimisers on functions whose answer is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nst.optim import LBFGS, Adam
from nst.optim.lbfgs import _frequency_filter

Function = Callable[[Tensor], Tensor]


def _run(optimizer: torch.optim.Optimizer, image: Tensor, function: Function, steps: int) -> Tensor:
    rows = []

    def closure() -> Tensor:
        image.grad = None
        losses = function(image)
        losses.sum().backward()
        rows.append(losses.detach())
        return losses.sum()

    for _ in range(steps):
        optimizer.step(closure)  # type: ignore[arg-type]
    return torch.stack(rows)


@pytest.fixture
def problem() -> tuple[Tensor, Function]:
    generator = torch.Generator().manual_seed(0)
    stiffness = torch.rand(3, 12, 14, generator=generator) * 5 + 0.1
    start = torch.rand(3, 3, 12, 14, generator=generator)

    def function(image: Tensor) -> Tensor:  # not quadratic, with its minimum inside the box
        return (stiffness * (image - 0.3).square() + image**4).sum(dim=(1, 2, 3))

    return start, function


@pytest.mark.parametrize("history", [4, 50])
def test_plain_lbfgs_is_torch_lbfgs_for_each_image(
    problem: tuple[Tensor, Function], history: int
) -> None:
    start, function = problem
    image = start.clone().requires_grad_()
    ours = LBFGS([image], history_size=history, projection="none", filter_power=0, first_step=None)
    together = _run(ours, image, function, 25)
    for index in range(len(start)):
        single = start[index : index + 1].clone().requires_grad_()
        theirs = torch.optim.LBFGS(
            [single], max_iter=1, history_size=history, tolerance_change=0, tolerance_grad=0
        )
        alone = _run(theirs, single, function, 25)
        torch.testing.assert_close(together[:, index], alone[:, 0], rtol=1e-5, atol=0)


@pytest.mark.parametrize("projection", ["honest", "textbook"])
def test_projection_keeps_the_image_in_range(
    problem: tuple[Tensor, Function], projection: str
) -> None:
    start, _ = problem
    image = start.clone().requires_grad_()

    def function(image: Tensor) -> Tensor:  # minimum at 1.5, outside the box
        return (image - 1.5).square().sum(dim=(1, 2, 3))

    losses = _run(LBFGS([image], projection=projection), image, function, 15)
    assert image.min() >= 0
    assert image.max() <= 1
    assert losses[-1].max() < 1.01 * 0.25 * image[0].numel()  # every pixel at the bound


def test_honest_pairs_are_the_displacements_that_happened() -> None:
    image = torch.full((1, 3, 4, 4), 0.9).requires_grad_()
    optimizer = LBFGS([image], filter_power=0)
    positions = [image.detach().clone()]

    def function(image: Tensor) -> Tensor:
        return (image - 3).square().sum(dim=(1, 2, 3))

    for _ in range(4):
        _run(optimizer, image, function, 1)
        positions.append(image.detach().clone())
    state = optimizer.state[image]
    torch.testing.assert_close(state["s"][0, 1], (positions[2] - positions[1]).flatten())
    assert state["kept"].item() < 3  # a step that the bound swallowed whole leaves no pair


def test_the_filter_is_a_positive_symmetric_operator() -> None:
    image = torch.rand(2, 3, 9, 10).requires_grad_()
    optimizer = LBFGS([image], filter_power=0.75)
    generator = torch.Generator().manual_seed(0)
    u, v = (torch.randn(2, 270, generator=generator) for _ in range(2))
    pu, pv = optimizer._filtered(u), optimizer._filtered(v)
    torch.testing.assert_close((u * pv).sum(1), (pu * v).sum(1), rtol=1e-4, atol=1e-4)
    assert ((u * pu).sum(1) > 0).all()
    waves = _frequency_filter(64, 64, 1.0, torch.device("cpu"))
    assert waves[0, 1] == pytest.approx(1.0)
    assert waves[0, 8] == pytest.approx(1 / 8)


def test_scale_of_the_loss_does_not_matter(problem: tuple[Tensor, Function]) -> None:
    """Losses of 1e-8 must still be optimised: pairs are judged by angle, not by size."""
    start, function = problem
    small = start.clone().requires_grad_()
    losses = _run(LBFGS([small]), small, lambda image: 1e-8 * function(image), 60)
    large = start.clone().requires_grad_()
    reference = _run(LBFGS([large]), large, function, 60)
    torch.testing.assert_close(losses[-1] * 1e8, reference[-1], rtol=1e-2, atol=0)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_the_first_step_is_as_long_as_asked(problem: tuple[Tensor, Function], scale: float) -> None:
    start, function = problem
    image = start.clone().requires_grad_()
    optimizer = LBFGS([image], projection="none", first_step=0.03)
    _run(optimizer, image, lambda image: scale * function(image), 1)
    moved = (image.detach() - start).abs().mean(dim=(1, 2, 3))
    torch.testing.assert_close(moved, torch.full((3,), 0.03))


@pytest.mark.parametrize(("first_step", "kept"), [(0.01, 0), (None, 3)])
def test_a_pair_hardly_more_than_noise_is_dropped(first_step: float | None, kept: int) -> None:
    """The gradient changes across the steps, by cosines of 0.02 and less between the two."""
    along, across = torch.zeros(2, 1, 3, 8, 8)
    along[:, 0], across[:, 1] = 1, 1
    image = torch.zeros(1, 3, 8, 8).requires_grad_()
    optimizer = LBFGS([image], projection="none", filter_power=0, first_step=first_step)
    share = 0.02

    def closure() -> Tensor:
        nonlocal share
        image.grad = along + share * across
        share -= 0.002
        return image.detach().sum()

    for _ in range(4):
        before = image.detach().clone()
        optimizer.step(closure)
        if first_step:  # begun again: as long as the first, whatever the gradient's scale
            moved = (image.detach() - before).abs().mean()
            torch.testing.assert_close(moved, torch.tensor(0.01))
    assert optimizer.state[image]["kept"].item() == kept


def test_where_the_gradient_is_zero_nothing_moves() -> None:
    """A reconstruction from its own photo."""
    image = torch.full((1, 3, 4, 4), 0.5).requires_grad_()
    _run(LBFGS([image]), image, lambda image: (image - 0.5).square().sum(dim=(1, 2, 3)), 3)
    assert torch.equal(image.detach(), torch.full((1, 3, 4, 4), 0.5))


def test_a_step_that_raises_the_loss_is_undone_for_its_image_alone() -> None:
    """A wall at 0.6 that the first pairs know nothing of: the second image jumps over it."""

    def function(image: Tensor) -> Tensor:
        flat = image.flatten(1)
        wall = 1e4 * torch.relu(flat - 0.6).square().sum(1)
        return (flat - 0.55).square().sum(1) + torch.tensor([0.0, 1.0]) * wall

    taken: list[Tensor] = []

    def run(max_rise: float | None) -> Tensor:
        image = torch.full((2, 3, 4, 4), 0.1).requires_grad_()
        optimizer = LBFGS([image], lr=1.8, filter_power=0, max_rise=max_rise)
        rows: list[Tensor] = []
        taken.clear()

        def evaluate() -> Tensor:
            image.grad = None
            losses = function(image)
            losses.sum().backward()
            rows.append(losses.detach())
            return losses.detach()

        for _ in range(8):
            accepted = optimizer.step(losses=evaluate())
            assert accepted is not None
            taken.append(accepted)
        optimizer.revert_last_step(function(image.detach()))
        return torch.stack([*rows, function(image.detach())])

    free = run(None)
    assert torch.equal(torch.stack(taken), free[:-1])
    controlled = run(1.1)
    assert (free[1:, 1] > 1.1 * free[:-1, 1]).any()  # there is a jump to undo
    best = controlled[0, 1]
    for loss in controlled[1:, 1]:
        best = min(best, loss) if loss <= 1.1 * best else best
    reached = controlled[0]
    for losses, accepted in zip(controlled, taken, strict=False):
        reached = torch.where(losses <= 1.1 * reached, losses, reached)
        assert torch.equal(accepted, reached)
    assert controlled[-1, 1] <= 1.1 * best
    torch.testing.assert_close(controlled[:, 0], free[:, 0])  # the other image never knew


def test_adam_is_torch_adam_then_projected(problem: tuple[Tensor, Function]) -> None:
    start, function = problem
    ours, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    adam = Adam([ours], lr=0.05)
    reference = torch.optim.Adam([theirs], lr=0.05, betas=(0.9, 0.99))
    for _ in range(10):
        _run(adam, ours, function, 1)
        _run(reference, theirs, function, 1)
        theirs.data.clamp_(0, 1)
    torch.testing.assert_close(ours, theirs)


def test_rescale() -> None:
    image = torch.rand(1, 3, 8, 8).requires_grad_()

    def up(tensor: Tensor) -> Tensor:
        return torch.nn.functional.interpolate(tensor, (16, 16), mode="bicubic")

    for optimizer in (LBFGS([image]), Adam([image])):
        image.data = torch.rand(1, 3, 8, 8)
        _run(optimizer, image, lambda x: x.square().sum(dim=(1, 2, 3)), 2)
        larger = up(image.detach()).clamp(0, 1).requires_grad_()
        optimizer.rescale(larger, up)
        losses = _run(optimizer, larger, lambda x: x.square().sum(dim=(1, 2, 3)), 3)
        assert losses[-1] <= losses[0]
        assert list(optimizer.state) == [larger]
    state = optimizer.state[larger]
    assert state["exp_avg_sq"].shape == (1, 3, 16, 16)
    assert state["exp_avg_sq"].min() >= 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"lr": 0},
        {"lr": float("nan")},
        {"history_size": 0},
        {"history_size": 2.5},
        {"projection": "clip"},
        {"filter_power": -1},
        {"max_rise": 0.5},
        {"first_step": 0},
        {"first_step": 1.5},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LBFGS([torch.zeros(1, 3, 2, 2)], **wrong)  # type: ignore[arg-type]
