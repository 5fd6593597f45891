"""Search spaces in Hydra's grammar, batches of trials, and fronts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import optuna
import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from nst.config.objective import higher_is_better, intermediate
from nst.sweeps.search.batch_size import trials_per_batch
from nst.sweeps.search.front import along
from nst.sweeps.search.judge import Dominance
from nst.sweeps.search.record import StudyRecord, TrialRecord
from nst.sweeps.search.space import Space, _distribution, as_text
from nst.utils.errors import ConfigError


def _parsed(text: str) -> Any:
    return _distribution(OverridesParser.create().parse_override(f"weights.style={text}"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("interval(1, 10)", FloatDistribution(1, 10)),
        ("tag(log, interval(1e3, 1e7))", FloatDistribution(1e3, 1e7, log=True)),
        ("int(interval(1, 5))", IntDistribution(1, 5)),
        ("tag(log, int(interval(1, 64)))", IntDistribution(1, 64, log=True)),
        ("range(1, 10, 2)", IntDistribution(1, 9, step=2)),  # as Python's: without the end
        ("range(5, 1, -2)", IntDistribution(3, 5, step=2)),
        ("range(0.5, 2, 0.5)", FloatDistribution(0.5, 1.5, step=0.5)),
        ("tag(log, range(1, 9))", IntDistribution(1, 8, log=True)),
        ("1e3,1e4", CategoricalDistribution(["1000.0", "10000.0"])),
        ("[a,b],[c],null", CategoricalDistribution(["[a,b]", "[c]", "null"])),
        ("sort(b,a)", CategoricalDistribution(["a", "b"])),
    ],
)
def test_distributions(text: str, expected: object) -> None:
    assert _parsed(text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("interval(2, 1)", "the lower bound 2 is above the upper bound 1"),
        ("tag(log, interval(0, 1))", "both bounds must be above 0"),
        ("tag(log, range(1, 9, 2))", "cannot have a step"),
        ("tag(normal, interval(0, 1))", "no such tag: normal; allowed: log"),
        ("range(3, 3)", "is empty"),
    ],
)
def test_wrong_spaces_name_the_key(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=r"^weights\.style=") as caught:
        _parsed(text)
    assert problem in str(caught.value)


def test_values_as_overrides() -> None:
    assert [*map(as_text, (12345.678901, 1e-7, 3, "[a,b]"))] == ["12345.7", "1e-07", "3", "[a,b]"]
    space = Space({"a": FloatDistribution(1, 9), "b": CategoricalDistribution(["x", "y"])}, ["c=0"])
    assert space.corners() == [
        ["c=0", "a=1", "b=x"],
        ["c=0", "a=9", "b=x"],
        ["c=0", "a=1", "b=y"],
    ]


@pytest.mark.parametrize(
    ("launcher", "trials", "expected"),
    [
        ({"_target_": "a.BasicLauncher"}, 40, 1),
        ({"_target_": "a.VectorizedLauncher", "max_batch_size": None}, 200, 4),  # of 128 px
        ({"_target_": "a.VectorizedLauncher", "max_batch_size": 3}, 200, 3),
        ({"_target_": "a.VectorizedLauncher", "max_batch_size": None}, 12, 3),
        ({"_target_": "a.JoblibLauncher", "n_jobs": 2}, 40, 2),
        ({"_target_": "a.SlurmLauncher", "array_parallelism": 256}, 40, 8),
    ],
)
def test_trials_per_batch(
    launcher: dict[str, Any], trials: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = OmegaConf.create({"hydra": {"launcher": launcher}, "image": {"size": 128}})
    assert trials_per_batch(config, trials) == expected


def _study(objective: list[str], values: Sequence[Sequence[float]]) -> StudyRecord:
    trials = [
        TrialRecord(number, "completed" if own else "failed", {}, list(own), f"run{number}", "")
        for number, own in enumerate(values)
    ]
    return StudyRecord("s", objective, trials, optuna.create_study())


def test_front() -> None:
    """``ssim`` is better if higher: the third trial is dominated by the first two."""
    study = _study(["content_distance", "ssim"], [(1, 0.5), (2, 0.9), (2, 0.5), (), (0.5, 0.1)])
    assert [trial.number for trial in study.front] == [4, 0, 1]
    one = _study(["ssim"], [(0.5,), (0.9,), (0.1,)])
    assert [trial.number for trial in one.front] == [1]


def test_equal_trials_are_on_the_front_once() -> None:
    study = _study(["loss", "ssim"], [(1, 0.5), (1, 0.5)])
    study.trials[1] = study.trials[0]
    assert len(study.front) == 1


def test_pictures_are_spread_along_the_front() -> None:
    """Not by number: most of these trials are close together."""
    front = _study(["loss", "psnr"], [(x, -x) for x in (0, 0.01, 0.02, 0.03, 0.5, 1)]).trials
    assert [trial.number for trial in along(front, 3)] == [0, 4, 5]
    assert along(front, 6) == front


def test_objectives() -> None:
    assert higher_is_better("ssim")
    assert not higher_is_better("patch_distance")
    assert not higher_is_better("loss/style")
    row = {"loss/total": 3.0, "loss/style": 1.0}
    found = intermediate(["loss", "loss/style", "ssim", "psnr"], row, {"ssim": 0.5})
    assert found[:3] == [3.0, 1.0, 0.5]
    assert math.isnan(found[3])


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        ((1.0, 1.0), (0.8, 1.2), True),
        ((1.0, 1.0), (0.9, 1.2), False),  # better, but not by a fifth
        ((1.0, 1.0), (0.5, 0.9), False),  # the second is better if higher
        ((1.0, 1.0), (math.nan, 2.0), False),
    ],
)
def test_dominance_by_a_margin(
    own: tuple[float, ...], other: tuple[float, ...], expected: bool
) -> None:
    judge = Dominance.__new__(Dominance)
    judge.margin, judge._signs = 0.2, [1.0, -1.0]
    assert judge._dominated(own, other) == expected
