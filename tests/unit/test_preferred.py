"""Which settings votes rank, and which results can be compared."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nst.compare.page_run import subject
from nst.compare.select import entries, select
from nst.config.experiment import ExperimentConfig
from nst.reports import preferred
from nst.reports.collect import Experiment, JobRecord
from nst.runner import votes
from nst.runner.record import RunRecord
from nst.runner.votes import Vote
from tests.run_folders import made_up


def vote(left: str, right: str, preferred: str = "left") -> Vote:
    return Vote(left, right, preferred, "2026-01-31T12:00:00Z")


def captions_of(outputs: Path, cast: Sequence[Vote]) -> dict[str, str]:
    (ranking,) = preferred.outside(outputs, cast, [])
    return {caption: f"{score.count}" for caption, score in ranking.scores.items()}


def test_votes_are_pooled_over_seeds_and_pictures(tmp_path: Path) -> None:
    for pair in ("x", "y"):
        for weight, seed in itertools.product((1e4, 1e6), (0, 1)):
            config: dict[str, Any] = {"weights": {"style": weight}, "seed": seed}
            config |= {"content": {"path": f"{pair}.png"}, "style": {"path": f"{pair}s.png"}}
            made_up(tmp_path, f"{pair}{weight:g}-{seed}", **config)
    cast = [
        vote("x10000-0", "x1e+06-1"),
        vote("y1e+06-0", "y10000-1", "right"),
        vote("y1e+06-0", "y10000-0"),
        vote("x10000-0", "x10000-1"),  # of one setting
    ]
    (ranking,) = preferred.outside(tmp_path, cast, [])
    assert [*ranking.scores] == ["weights.style=10000", "weights.style=1e6"]
    assert {score.count for score in ranking.scores.values()} == {3}
    assert (ranking.votes, ranking.equal) == (3, 0)


def test_settings_behind_one_name_are_not_pooled(tmp_path: Path) -> None:
    for name, init in (("a", "noise"), ("b", "blend"), ("c", "blend")):
        made_up(tmp_path, name, init={"name": init, "noise": 0.3 if name == "b" else 0.7})
    found = captions_of(tmp_path, [vote("a", "b"), vote("b", "c")])
    assert found == {"init=noise": "1", "init=blend (b)": "2", "init=blend (c)": "1"}


def test_results_of_other_programs(tmp_path: Path) -> None:
    made_up(tmp_path, "ours")
    other = made_up(tmp_path, "other", program="neural-style", picture="a.png")
    (other / "run.json").write_text('{"status": "completed", "program": "neural-style"}')
    found = captions_of(tmp_path, [vote("ours", "other", "right")])
    assert [*found] == ["program=neural-style", "program=nst"]


def test_an_experiment_has_its_own_captions(tmp_path: Path) -> None:
    jobs = []
    for pair, weights, seed in itertools.product(("x", "y"), ("mild", "strong"), ("0", "1")):
        name = f"{pair}-{weights}-{seed}"
        made_up(tmp_path, name)
        overrides = (f"+pair={pair}", f"weights={weights}", f"seed={seed}")
        jobs.append(JobRecord(overrides, RunRecord(tmp_path / "runs" / name)))
    labels = {"weights": {"mild": "a little style", "strong": "much style"}}
    experiment = Experiment(ExperimentConfig(name="weights", labels=labels), jobs)
    cast = [vote("x-mild-0", "x-strong-1"), vote("y-strong-1", "y-mild-1", "equal")]
    (ranking,) = preferred.rank(preferred.of_experiment(experiment), cast)
    assert [*ranking.scores] == ["a little style", "much style"]
    assert (ranking.votes, ranking.equal) == (2, 1)
    # those within it are no votes outside
    made_up(tmp_path, "single", seed=3)
    assert preferred.outside(tmp_path, cast, [experiment]) == []
    assert preferred.outside(tmp_path, [*cast, vote("single", "x-mild-0")], [experiment]) == []


def test_a_fair_pair_has_the_same_content_and_style(tmp_path: Path) -> None:
    first = RunRecord(made_up(tmp_path, "a"))
    other = RunRecord(made_up(tmp_path, "b", seed=4, style={"path": "x.png"}))
    again = RunRecord(made_up(tmp_path, "c", seed=4, weights={"style": 7.0}))
    failed = made_up(tmp_path, "d")
    (failed / "run.json").write_text('{"status": "failed"}')
    texture = made_up(tmp_path, "e")
    (texture / "inputs/content.png").unlink()
    assert subject(first) == subject(again) is not None
    assert len({subject(each) for each in (first, other, RunRecord(texture))}) == 3
    assert subject(RunRecord(failed)) is None
    blends = [{"path": None, "source": "s.png", "gradients": each} for each in ("plain", "mixed")]
    found = [RunRecord(made_up(tmp_path, f"f{each['gradients']}", content=each)) for each in blends]
    assert subject(found[0]) != subject(found[1])


def test_runs_are_filtered_by_preference(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        made_up(tmp_path, name)
    votes.add(tmp_path, [vote("one", "two")])
    found = entries(tmp_path)
    assert [each.name for each in select(found, ["preference>0"])] == ["one"]
    assert [each.name for each in select(found, ["preference<0"])] == ["two"]
