"""Scales add up to the steps asked for; a step counter goes on where it was."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from nst.schedule import Steps, scales
from nst.schema import Config, ImageConfig, ScheduleConfig


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


def test_steps_go_on() -> None:
    assert list(Steps(0, 3)) == [0, 1, 2]
    assert list(Steps(2, 5)) == [2, 3, 4]
    assert len(Steps(2, 5)) == 3
