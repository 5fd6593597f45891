"""W&B sweeps made from searches, and the signals of an agent."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import BaseDistribution

from nst.config.objective import logged_name
from nst.sweeps.search.space import _distribution
from nst.sweeps.search.wandb_sweep import early_terminate, parameter
from nst.utils import agent


def _parsed(text: str) -> BaseDistribution:
    return _distribution(OverridesParser.create().parse_override(f"weights.style={text}"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("interval(1, 10)", {"distribution": "uniform", "min": 1.0, "max": 10.0}),
        (
            "tag(log, interval(1e3, 1e7))",
            {"distribution": "log_uniform_values", "min": 1e3, "max": 1e7},
        ),
        ("int(interval(1, 5))", {"distribution": "int_uniform", "min": 1, "max": 5}),
        (
            "tag(log, int(interval(1, 64)))",
            {"distribution": "q_log_uniform_values", "min": 1, "max": 64, "q": 1},
        ),
        ("range(1, 5)", {"distribution": "int_uniform", "min": 1, "max": 4}),
        ("range(1, 10, 3)", {"values": [1, 4, 7]}),  # q_uniform would have 0, 3, 6 and 9
        ("range(0.1, 0.5, 0.1)", {"values": [0.1, 0.2, 0.3, 0.4]}),
        ("1,1e4,report,[a,b]", {"values": [1, 1e4, "report", "[a,b]"]}),
    ],
)
def test_parameters(text: str, expected: dict[str, Any]) -> None:
    found = parameter(_parsed(text))
    assert found == expected
    whole = [type(value) for value in found.values()]
    assert whole == [type(value) for value in expected.values()]


@pytest.mark.parametrize("values", [*range(5, 40), 101, 301, 1001])
def test_brackets(values: int) -> None:
    """As W&B's server computes them: at least one before the end, and none at it."""
    declared = early_terminate(values)
    brackets = [declared["min_iter"] * declared["eta"] ** power for power in range(100)]
    reached = [index for index in brackets if index < values]
    assert 1 <= len(reached) <= 2
    assert reached[-1] < values - 1
    assert reached[0] >= 1  # the first value says little


def test_metrics_have_the_names_that_loggers_have() -> None:
    assert [*map(logged_name, ["ssim", "loss", "loss/style", "seconds"])] == [
        "measure/ssim",
        "loss/total",
        "loss/style",
        "seconds",
    ]


def test_the_agent_stops_a_run_by_sigterm(monkeypatch: pytest.MonkeyPatch) -> None:
    parent = os.getppid()
    assert not agent.sent(signal.SIGTERM, parent)
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1")
    assert not agent.sent(signal.SIGTERM, parent)
    monkeypatch.setenv("WANDB_RUN_ID", "point1")
    assert agent.sent(signal.SIGTERM, parent)
    assert not agent.sent(signal.SIGINT, parent)
    assert not agent.sent(None, parent)
    assert not agent.sent(signal.SIGTERM, parent + 1)  # the agent has ended
