"""How studies got better, trial by trial."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import optuna
import pytest
from optuna._hypervolume import compute_hypervolume

from nst.sweeps.search.history import best_so_far, hypervolume
from nst.sweeps.search.record import StudyRecord, TrialRecord


def _study(objective: list[str], values: Sequence[Sequence[float]]) -> StudyRecord:
    trials = [
        TrialRecord(number, "completed" if own else "failed", {}, list(own), None, "")
        for number, own in enumerate(values)
    ]
    return StudyRecord("s", objective, trials, optuna.create_study())


def test_the_best_so_far() -> None:
    assert best_so_far(_study(["patch_distance"], [(), (3,), (4,), (), (1,)])) == [None, 3, 3, 3, 1]
    assert best_so_far(_study(["ssim"], [(0.3,), (0.4,), (0.1,)])) == [0.3, 0.4, 0.4]
    assert best_so_far(_study(["ssim"], [])) == []


def test_the_hypervolume_so_far() -> None:
    """Of the box from (0, 0.1) to (10, 0.9), where higher SSIM is better."""
    values = [(10, 0.5), (5, 0.5), (), (0, 0.1), (8, 0.3), (10, 0.9), (5, 0.5)]
    assert best_so_far(_study(["content_distance", "ssim"], values)) == pytest.approx(
        [0, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25]
    )
    values = [(10, 0.1), (5, 0.5), (5, 0.9), (0, 0.9)]
    assert best_so_far(_study(["content_distance", "ssim"], values)) == pytest.approx(
        [0, 0.25, 0.5, 1]
    )


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_hypervolume_is_optunas(objectives: int) -> None:
    points = np.random.default_rng(objectives).uniform(size=(12, objectives))
    expected = compute_hypervolume(points, np.ones(objectives))
    found = hypervolume([tuple(map(float, point)) for point in points])
    assert found == pytest.approx(expected)
    assert 0 < found < 1
