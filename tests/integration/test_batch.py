"""N runs in one batch are the same N runs alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import EXAMPLES, bounded
from tests.helpers import assert_each_as_alone, module, optimise, prepared, tiny_run

COMMON = ["image.size=32", "steps=6", "layers.style=[conv1_1,conv3_1]", "layers.content=[conv2_2]"]
RUNS = [
    ["init=noise", "seed=3", "weights.style=1e4"],
    ["style=stained_glass", "layers.style=[conv1_1,conv2_1]", "layers.content=[conv3_1]"],
    ["init=style", "style=grass", "weights.tv=20"],
]


def _check(*overrides: str) -> None:
    make = tiny_run if overrides else prepared
    batch, _ = assert_each_as_alone([make(*COMMON, *own, *overrides) for own in RUNS])
    assert (batch.image[0] - batch.image[1]).abs().mean() > 0.01  # they are different runs


def test_lbfgs() -> None:
    _check()


def test_adam_pyramid() -> None:
    _check("optimizer=adam", "schedule=pyramid", "steps=8")


@pytest.mark.parametrize("overrides", [(), ("optimizer=adam", "schedule=pyramid")], ids=str)
def test_the_order_of_the_runs_makes_no_difference(overrides: tuple[str, ...]) -> None:
    """Permuting a batch permutes its losses and images."""
    runs = [tiny_run(*COMMON, "steps=4", *own, *overrides) for own in RUNS]
    batch = module(runs, torch.float64)
    losses = optimise(batch)

    @bounded(EXAMPLES // 10)
    @given(st.permutations(range(len(runs))).filter(lambda order: order != sorted(order)))
    def check(order: list[int]) -> None:
        other = module([runs[index] for index in order], torch.float64)
        for name, value in optimise(other).items():
            torch.testing.assert_close(value, losses[name][:, order], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(other.image, batch.image[order], rtol=0, atol=1e-9)

    check()


def test_tasks_may_differ() -> None:
    transfer = tiny_run(*COMMON, "style.path=builtin:chelsea", "init=noise")
    texture = tiny_run(
        *COMMON, "task=texture_synthesis", "style.path=builtin:chelsea", "init=noise"
    )
    made = module([transfer, texture], torch.float64)
    losses = optimise(made)
    assert losses["content"][-1, 0] > 0
    assert losses["content"][:, 1].abs().max() == 0
    alone = optimise(module([texture], torch.float64))
    torch.testing.assert_close(losses["total"][:, 1], alone["total"][:, 0], rtol=1e-6, atol=0)


def test_in_float32_the_objective_is_equal_to_rounding() -> None:
    runs = [prepared(*COMMON, *own) for own in RUNS]
    together = module(runs).evaluate()
    for index, run in enumerate(runs):
        for name, value in module([run]).evaluate().items():
            torch.testing.assert_close(together[name][index], value[0], rtol=1e-4, atol=1e-7)
