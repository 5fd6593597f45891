"""How a sweep is divided into parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nst.sweeps import sweep_folder
from nst.sweeps.sweep_folder import Part
from nst.sweeps.vectorized import parts as parts_module
from nst.sweeps.vectorized.parts import parts
from nst.transfer.run import Run
from tests.helpers import tiny_run

BASE = ("image.size=32", "steps=2", "logger=none", "layers.style=[conv1_1]", "init=noise")

Jobs = dict[int, list[str]]


def _preparing(jobs: Jobs, prepared: list[int]) -> Callable[[int], Run | None]:
    def prepare(number: int) -> Run | None:
        prepared.append(number)
        return None if "steps=0" in jobs[number] else tiny_run(*BASE, *jobs[number])

    return prepare


def _divided(jobs: Jobs, **settings: object) -> list[list[int]]:
    found = parts(jobs, _preparing(jobs, []), **settings)  # type: ignore[arg-type]
    return [part.jobs for some in found for part in some]


def test_jobs_that_share_a_batch_are_a_part() -> None:
    """One job of each kind is prepared; the reasons name what separates the parts."""
    jobs: Jobs = {
        number: [f"steps={steps}", f"seed={seed}", f"weights.style={weight}"]
        for number, (steps, seed, weight) in enumerate(
            (steps, seed, weight)
            for seed in (0, 1)
            for steps in (3, 4)
            for weight in ("1e3", "1e4")
        )
    }
    prepared: list[int] = []
    (found,) = parts(jobs, _preparing(jobs, prepared))
    assert found == [
        Part([0, 1, 4, 5], "steps=3"),
        Part([2, 3, 6, 7], "steps=4"),
    ]
    assert prepared == [0, 2]


def test_kinds_that_can_share_a_batch_are_one_part() -> None:
    """Which is found by preparing a job of each: here of pictures with the same shape."""
    jobs: Jobs = {0: ["style=waves"], 1: ["style=mosaic"], 2: ["style=waves", "seed=1"]}
    assert _divided(jobs) == [[0, 1, 2]]


def test_refused_jobs() -> None:
    """They belong to a part, where they are reported; another job of the kind is prepared."""
    jobs: Jobs = {0: ["steps=0"], 1: ["steps=3"], 2: ["steps=0", "seed=1"], 3: ["steps=3"]}
    assert _divided(jobs) == [[0, 2], [1, 3]]


@pytest.mark.parametrize(
    ("places", "most", "sizes"),
    [(1, 256, [9]), (2, 256, [5, 4]), (4, 256, [3, 3, 3]), (1, 4, [3, 3, 3]), (20, 4, [1] * 9)],
)
def test_sizes(places: int, most: int, sizes: list[int]) -> None:
    jobs: Jobs = {number: [f"seed={number}"] for number in range(9)}
    found = _divided(jobs, largest=lambda run: most, places=places)
    assert [len(part) for part in found] == sizes
    assert sorted(number for part in found for number in part) == [*range(9)]


def test_the_first_parts_come_before_the_last_jobs_are_prepared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parts_module, "KINDS", 2)
    jobs: Jobs = {number: [f"steps={number % 3 + 1}"] for number in range(6)}
    prepared: list[int] = []
    found = parts(jobs, _preparing(jobs, prepared))
    assert [part.jobs for part in next(found)] == [[0, 3], [1, 4]]
    assert prepared == [0, 1]
    assert [part.jobs for part in next(found)] == [[2, 5]]


def test_recorded_parts(tmp_path: Path) -> None:
    for number, part in enumerate([Part([0, 2], "steps=3"), Part([1], "")]):
        assert sweep_folder.add_part(tmp_path, part) == number
        assert sweep_folder.part(tmp_path, number) == part
    assert sweep_folder.part_numbers(tmp_path) == [0, 1]
    sweep_folder.clear(tmp_path)
    assert sweep_folder.part_numbers(tmp_path) == []
