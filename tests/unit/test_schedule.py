"""Scales add up to the steps asked for; a step counter goes on where it was."""

from __future__ import annotations

import itertools
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nst.config.schema import Config, ImageConfig, ScheduleConfig
from nst.runner.signature import signature
from nst.transfer.schedule import FIXED_PIXELS, Steps, scales, work
from tests.helpers import embedded, module, optimise, prepared, resolved, tiny_run

_weights = cache(embedded)


@given(
    steps=st.integers(1, 2000),
    size=st.integers(16, 2048),
    shares=st.lists(st.floats(0.01, 10), min_size=1, max_size=6),
)
def test_every_scale_gets_steps_and_they_add_up(steps: int, size: int, shares: list[float]) -> None:
    shares = shares[:steps]
    sizes = [(index + 1) / len(shares) for index in range(len(shares))]
    schedule = ScheduleConfig("test", sizes, shares)
    result = scales(Config(image=ImageConfig(size), steps=steps, schedule=schedule))
    assert result[0].start == 0
    assert result[-1].stop == steps
    assert result[-1].size == size
    assert all(scale.stop > scale.start for scale in result)
    assert all(a.stop == b.start for a, b in itertools.pairwise(result))


def test_pyramid_by_hand() -> None:
    schedule = ScheduleConfig("pyramid", [0.25, 0.5, 1.0], [0.3, 0.2, 0.5])
    result = scales(Config(image=ImageConfig(256), steps=200, schedule=schedule))
    assert [(s.size, s.start, s.stop) for s in result] == [
        (64, 0, 60),
        (128, 60, 100),
        (256, 100, 200),
    ]


def test_work_by_hand() -> None:
    schedule = ScheduleConfig("pyramid", [0.25, 0.5, 1.0], [0.3, 0.2, 0.5])
    found = scales(Config(image=ImageConfig(256), steps=200, schedule=schedule))
    small, middle, large = (size**2 + FIXED_PIXELS for size in (64, 128, 256))
    assert work(found, 0) == 0
    assert work(found, 60) == 60 * small
    assert work(found, 70) == 60 * small + 10 * middle
    assert work(found, 200) == 60 * small + 40 * middle + 100 * large


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (2048, [(256, 0, 38), (512, 38, 75), (1024, 75, 112), (2048, 112, 150)]),
        (512, [(256, 0, 75), (512, 75, 150)]),
        (600, [(256, 0, 75), (600, 75, 150)]),
        (900, [(256, 0, 50), (480, 50, 100), (900, 100, 150)]),  # twice: ratios of 1.875
        (300, [(300, 0, 150)]),
        (32, [(32, 0, 150)]),
    ],
)
def test_octaves_by_hand(size: int, expected: list[tuple[int, int, int]]) -> None:
    """The coarsest scale has the same number of pixels, whatever the final size."""
    schedule = ScheduleConfig("octaves", None, None, coarsest=256)
    result = scales(Config(image=ImageConfig(size), steps=150, schedule=schedule))
    assert [(s.size, s.start, s.stop) for s in result] == expected
    assert all(s.size == round(s.fraction * size) for s in result)


@pytest.mark.parametrize(
    ("steps", "sizes"), [(1, [512]), (2, [256, 512]), (9, [64, 128, 256, 512])]
)
def test_fewer_steps_than_octaves(steps: int, sizes: list[int]) -> None:
    """The last scales, a step at each."""
    config = Config(image=ImageConfig(512), steps=steps)
    config.schedule = ScheduleConfig("octaves", None, None, coarsest=64)
    assert [scale.size for scale in scales(config)] == sizes


HALF = (
    *("image.size=32", "steps=4", "init=noise"),
    *("schedule=single", "schedule.sizes=[0.5,1]", "schedule.steps=[1,1]"),
)


def test_a_fraction_of_the_style_weight() -> None:
    """Coarse steps minimise the objective with that fraction, the last ones the whole one."""
    terms = optimise(module([tiny_run(*HALF, "schedule.style=[0.01,1]")]))
    config = prepared(*HALF).config.weights
    for step, fraction in enumerate([0.01, 0.01, 1, 1, 1]):
        expected = config.content * terms["content"] + fraction * config.style * terms["style"]
        torch.testing.assert_close(terms["total"][step], expected[step])


def test_without_style_at_first_the_style_is_not_seen() -> None:
    """Bit for bit: what two styles make of the same noise, until their weight counts."""
    images = []
    for style in ("waves", "mosaic"):
        made = module([tiny_run(*HALF, "schedule.style=[0,1]", f"style={style}")])
        optimise(made, 2)  # the second enters the next scale
        images.append(made.image.detach())
    assert torch.equal(*images)


def test_the_signature_knows_the_fractions_only_where_they_differ() -> None:
    def signed(*overrides: str) -> str:
        return signature(resolved(prepared(*HALF, *overrides), precision="32"))

    assert signed() == signed("schedule.style=[1,1]") == signed("schedule.style=null")
    assert signed() != signed("schedule.style=[0.5,1]") != signed("schedule.style=[0.25,1]")
    reconstruction = "task=content_reconstruction"
    assert signed(reconstruction) == signed(reconstruction, "schedule.style=[0.5,1]")


def test_steps_go_on() -> None:
    assert list(Steps(0, 3)) == [0, 1, 2]
    assert list(Steps(2, 5)) == [2, 3, 4]
    assert len(Steps(2, 5)) == 3
