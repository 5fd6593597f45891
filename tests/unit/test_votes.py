"""Votes: the model that makes scores of them, and their file."""

from __future__ import annotations

import itertools
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from nst.metrics.preference import fit, rankings
from nst.runner import votes
from nst.runner.votes import Vote, preference_values
from nst.utils.errors import ConfigError
from tests.run_folders import made_up

NOW = "2026-01-31T12:00:00.000Z"


def vote(left: str, right: str, preferred: str = "left", number: int = 0) -> Vote:
    return Vote(left, right, preferred, f"2026-01-31T12:00:00.{number:03}Z")


@pytest.mark.parametrize(("wins", "losses"), [(7, 3), (1, 1), (2.5, 1.5)])
def test_two_items_by_hand(wins: float, losses: float) -> None:
    """log(w / l) apart, with a standard error of sqrt(1 / w + 1 / l): half of it from the mean."""
    scores, errors = fit(np.array([[0, wins], [losses, 0]]), deviation=math.inf)
    assert scores[0] - scores[1] == pytest.approx(math.log(wins / losses), abs=1e-6)
    assert errors == pytest.approx([math.sqrt(1 / wins + 1 / losses) / 2] * 2)


def test_the_scores_are_the_likeliest() -> None:
    """Beside an optimiser that is given the probability of the votes, and no derivatives."""
    random = np.random.default_rng(0)
    truth = random.normal(size=5)
    pairs = random.integers(0, 5, (200, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    first = random.random(len(pairs)) < expit(truth[pairs[:, 0]] - truth[pairs[:, 1]])
    wins = np.zeros((5, 5))
    for (one, other), won in zip(pairs, first, strict=True):
        wins[(one, other) if won else (other, one)] += 1

    def loss(free: NDArray[np.float64], precision: float) -> float:
        scores = np.append(free, -free.sum())
        margins = scores[pairs[:, 0]] - scores[pairs[:, 1]]
        chances = np.where(first, expit(margins), expit(-margins))
        return float(precision * np.square(scores).sum() / 2 - np.log(chances).sum())

    for deviation in (math.inf, 3.0, 0.5):
        best = minimize(loss, np.zeros(4), args=(deviation**-2,), method="BFGS").x
        scores, errors = fit(wins, deviation)
        assert scores == pytest.approx([*best, -best.sum()], abs=1e-4)
        assert scores.mean() == pytest.approx(0, abs=1e-9)
        if deviation == 3.0:  # on which most votes have an influence, and the prior little
            assert (np.abs(scores - (truth - truth.mean())) < 3 * errors).all()


def test_intervals_contain_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(1)
    truth = np.array([0.8, 0.2, -0.2, -0.8])
    inside = []
    for _ in range(150):
        wins = np.zeros((4, 4))
        for one, other in itertools.combinations(range(4), 2):
            wins[one, other] = random.binomial(15, expit(truth[one] - truth[other]))
            wins[other, one] = 15 - wins[one, other]
        scores, errors = fit(wins)
        inside += [*(np.abs(scores - truth) < 1.96 * errors)]
    assert 0.92 < np.mean(inside) < 0.98


def test_an_item_that_won_everything_is_finite_and_first() -> None:
    (found,) = rankings([("a", "b", 1.0)] * 5 + [("b", "c", 1.0)] * 5)
    assert [*found] == ["a", "b", "c"]
    assert math.isfinite(found["a"].value)
    assert found["a"].value == pytest.approx(-found["c"].value)
    assert found["b"].value == pytest.approx(0, abs=1e-6)
    assert [score.count for score in found.values()] == [5, 10, 5]
    low, high = found["a"].interval
    assert 0.5 < low < found["a"].chance < high < 1


def test_no_difference_is_half_a_vote_for_each() -> None:
    (ties,) = rankings([("a", "b", 0.5)] * 4 + [("a", "b", 1.0)])
    (halves,) = rankings([("a", "b", 1.0), ("b", "a", 1.0)] * 2 + [("b", "a", 0.0)])
    assert ties == halves


def test_what_no_vote_connects_is_apart() -> None:
    found = rankings([("a", "b", 1.0), ("c", "d", 0.0), ("b", "e", 0.5), ("f", "f", 1.0)])
    assert [[*each] for each in found] == [["a", "e", "b"], ["d", "c"]]
    assert rankings([]) == []


def test_a_vote_changes_the_values(tmp_path: Path) -> None:
    for name in "abc":
        made_up(tmp_path, name)
    assert preference_values(tmp_path) == {}
    assert votes.add(tmp_path, [vote("a", "b"), vote("b", "c", "equal")]) == 2
    before = preference_values(tmp_path)
    assert before["a"] > before["b"]
    votes.add(tmp_path, [vote("c", "a", number=each) for each in range(3)])
    after = preference_values(tmp_path)
    assert after["c"] > after["a"]
    assert before.keys() == after.keys() == {"a", "b", "c"}
    # a run that is gone takes its votes along
    shutil.rmtree(tmp_path / "runs/a")
    assert preference_values(tmp_path) == {"b": pytest.approx(0), "c": pytest.approx(0)}


def test_the_file_keeps_what_it_has(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a", "b"):
        made_up(tmp_path, name)
    one, other = vote("a", "b"), Vote("b", "a", "equal", NOW, "Zoë \ud800 \u2028")
    assert votes.add(tmp_path, [one, one]) == 1
    file = tmp_path / votes.FILE
    damaged = b'{"left": "a", "ri\n\xff\n{"left": "a", "right": "a"}\n\n[]\n7'
    file.write_bytes(file.read_bytes() + damaged)
    assert votes.add(tmp_path, [one, other]) == 1
    assert file.read_bytes().count(b"\xff\n") == 1
    assert votes.read(tmp_path) == [one, other]
    assert "skipped 5 lines" in caplog.text
    votes.remove(tmp_path, one)
    votes.remove(tmp_path, one)
    assert votes.read(tmp_path) == [other]
    assert {path.name for path in tmp_path.iterdir()} <= {"runs", votes.FILE, ".lease"}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("left", "is not JSON"),
        ("[]", "needs left, right, preferred, time, and may have voter"),
        ('{"left": "a", "right": "b", "preferred": "left"}', "needs left, right, preferred, time"),
        (vote("a", "b").line.replace("}", ', "x": 1}'), "needs left"),
        (vote("a", "b", "up").line, "preferred is 'up'; allowed: left, equal, right"),
        (vote("a", "a").line, "left and right are the same run"),
        (vote("a", "b").line.replace("2026-", ""), "allowed: such as 2026-01-31T12:00:00Z"),
        (vote("a", "b" * 300).line, "right must be a text of at most 255 characters"),
        (vote("a", "b").line.replace('"a"', "1"), "left must be a text"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text(f"{vote('a', 'b').line}\n\n{line}\n")
    with pytest.raises(ConfigError, match="line 3: ") as error:
        votes.load(file)
    assert problem in str(error.value)


def test_a_file_that_cannot_be_read_is_not_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / votes.FILE).mkdir()
    assert votes.read(tmp_path) == []
    assert "skipped all votes" in caplog.text
    with pytest.raises(OSError, match="directory"):
        votes.add(tmp_path, [vote("a", "b")])
    assert (tmp_path / votes.FILE).is_dir()
