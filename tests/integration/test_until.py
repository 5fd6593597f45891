"""Runs that end before their last step: ``until``."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nst.config.schema import UntilConfig
from nst.reports import table
from nst.runner.record import RunRecord
from nst.transfer.until import Until
from nst.utils.errors import DivergedError, NstError
from tests.helpers import WILD, execute, tiny_run
from tests.run_folders import contents

SMALL = (
    "image.size=32",
    "logger=none",
    "precision=32",
    "init=noise",
    "snapshot_every=10",
    "layers.content=[conv2_1]",
    "layers.style=[conv1_1,conv2_1]",
)


def totals(folder: Path) -> list[float]:
    with (folder / "metrics.csv").open() as file:
        return [float(row["loss/total"]) for row in csv.DictReader(file)]


def facts(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return found


def flat_at(losses: list[float], fall: float, window: int) -> int:
    """The step at which a plateau is reached, by its definition."""
    lowest = [min(losses[: step + 1]) for step in range(len(losses))]
    steps = range(window, len(losses))
    return next(step for step in steps if lowest[step] > (1 - fall) * lowest[step - window])


@pytest.fixture
def whole(tmp_path: Path) -> list[float]:
    """The losses of a run with all of its steps."""
    (folder,) = execute([tiny_run(*SMALL, "steps=40", f"outputs={tmp_path / 'whole'}")])
    return totals(folder)


def test_a_loss_ends_a_run_as_that_many_steps_would(tmp_path: Path, whole: list[float]) -> None:
    bound = whole[17] * 1.001
    step = next(step for step, loss in enumerate(whole) if loss <= bound)
    names = [f"outputs={tmp_path}", "steps=40", f"until.loss={bound!r}"]
    (early,) = execute([tiny_run(*SMALL, *names)])
    (short,) = execute([tiny_run(*SMALL, f"outputs={tmp_path}", f"steps={step}")])
    assert (early / "final.png").read_bytes() == (short / "final.png").read_bytes()
    assert totals(early) == totals(short) == whole[: step + 1]
    found = facts(early)
    assert found["status"] == "completed"
    assert found["steps"] == found["best_step"] == step
    assert found["reached"] == f"until.loss={bound:g}"
    for name in ("losses", "measures"):
        assert found[name] == facts(short)[name]
    job: Any = SimpleNamespace(run=RunRecord(early))
    assert f" · ended at step {step} · " in table._outcome([job], "final")
    snapshots = [sorted(path.name for path in each.glob("snapshots/*")) for each in (early, short)]
    assert snapshots[0] == snapshots[1]  # the first and the last are among them


def test_a_plateau_ends_a_run_with_its_lowest_loss(tmp_path: Path, whole: list[float]) -> None:
    step = flat_at(whole, 0.3, 5)
    assert 5 < step < 39
    names = [f"outputs={tmp_path}", "steps=40", "until.plateau=0.3", "until.window=5"]
    (early,) = execute([tiny_run(*SMALL, *names)])
    assert totals(early) == whole[: step + 1]
    found, least = facts(early), min(whole[: step + 1])
    assert found["steps"] == step
    assert found["best_step"] == whole.index(least)
    assert found["losses"]["loss/total"] == least


@pytest.mark.parametrize("free", [True, False], ids=["cpu", "as on a GPU"])
def test_each_run_of_a_batch_ends_by_itself(
    tmp_path: Path, whole: list[float], free: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU images leave the batch later, and their runs end at the same step."""
    if not free:
        monkeypatch.setattr("nst.transfer.module.NO_SYNC_DEVICES", frozenset())
    given = [*SMALL, f"outputs={tmp_path}", "steps=40"]
    bound = f"until.loss={whole[12] * 1.01!r}"
    runs = [
        tiny_run(*given, bound),
        tiny_run(*given, "seed=1"),
        tiny_run(*given, "seed=2", "until.plateau=0.3", "until.window=5"),
    ]
    first, second, third = execute(runs)
    assert facts(first)["steps"] <= 13
    assert len(totals(first)) == facts(first)["steps"] + 1
    assert facts(second)["steps"] == 40
    assert "reached" not in facts(second)
    losses = totals(third)
    assert facts(third)["steps"] == len(losses) - 1 == flat_at(losses, 0.3, 5)


def test_what_comes_after_the_end_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU, an image that has ended may diverge before that is noticed."""
    monkeypatch.setattr("nst.transfer.module.NO_SYNC_DEVICES", frozenset())
    names = [*SMALL, *WILD, f"outputs={tmp_path}", "steps=20"]
    with pytest.raises(DivergedError):
        execute([tiny_run(*names)])
    (early,) = execute([tiny_run(*names, "until.loss=1e9")])
    assert facts(early)["status"] == "completed"
    assert facts(early)["steps"] == 0


def test_an_interrupted_run_ends_where_it_would_have(tmp_path: Path) -> None:
    names = [*SMALL, "steps=40", "until.plateau=0.3", "until.window=5"]
    (whole,) = execute([tiny_run(*names, f"outputs={tmp_path / 'whole'}")])
    assert facts(whole)["steps"] > 9
    with pytest.raises(NstError, match="before the last step"):
        execute([tiny_run(*names, f"outputs={tmp_path}", "+trainer.max_steps=7")])
    (resumed,) = execute([tiny_run(*names, f"outputs={tmp_path}")])
    assert contents(resumed) == contents(whole)


def test_only_the_final_size_counts(tmp_path: Path) -> None:
    names = ["schedule=pyramid", "steps=20", "until.loss=1e9", f"outputs={tmp_path}"]
    (folder,) = execute([tiny_run(*SMALL, "image.size=64", *names)])
    assert facts(folder)["steps"] == 10  # the first step at the final size


def test_a_batch_of_runs_that_all_end(tmp_path: Path) -> None:
    names = [*SMALL, f"outputs={tmp_path}", "steps=40", "until.loss=1e9"]
    for folder in execute([tiny_run(*names), tiny_run(*names, "seed=1")]):
        assert facts(folder)["status"] == "completed"
        assert facts(folder)["steps"] == 0


def test_the_state_is_restored() -> None:
    """The losses of a checkpoint's rows, and those after it, end a run where all would."""
    losses = [9.0, 8.0, torch.nan, 7.0, 6.99, 6.98, 7.5, 6.97, 1.0]
    config = UntilConfig(plateau=0.01, window=3)
    for part in range(7):
        until = Until([config], torch.device("cpu"))
        until.restore([losses[:part]])
        for step, loss in list(enumerate(losses))[part:]:
            until.update(step, torch.tensor([loss]))
        assert until.step.item() == max(6, part)
