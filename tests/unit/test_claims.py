"""Verdicts on made-up runs whose truth is known."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from nst.config.experiment import PlotConfig, QuestionConfig
from nst.reports import claims, plots
from nst.reports.blocks import compare, shared_level
from nst.reports.choices import choose
from nst.reports.claims import FAILS, HOLDS, UNKNOWN, Finding
from nst.reports.collect import Experiment, collect
from nst.reports.limits import limits
from nst.reports.plots import lines
from nst.reports.table import Gallery, lay_out
from nst.runner.record import RunRecord
from tests.run_folders import write_run

Make = Callable[..., Finding]


@pytest.fixture
def finding(tmp_path: Path) -> Make:
    """The first finding of one claim on runs with the given measure, (setting, seed) → number."""

    def make(claim: dict[str, Any], numbers: Mapping[tuple[str, int], Any], name: str) -> Finding:
        experiment = {
            "name": "made_up",
            "claims": [{"text": "So it is.", "measures": [name], **claim}],
        }
        jobs = [[f"key={setting}", f"seed={seed}"] for setting, seed in numbers]
        for (setting, seed), value in numbers.items():
            facts: dict[str, Any] = {}
            if isinstance(value, np.ndarray):
                facts["image"] = value
            elif isinstance(value, list):
                facts |= {"rows": value, "losses": {"loss/total": value[-1][2]}}
            elif value is not None:
                facts["measures"] = {name: value}
            else:
                facts["status"] = "failed"
            write_run(tmp_path, experiment, [f"key={setting}", f"seed={seed}"], jobs, **facts)
        return claims.test(collect(tmp_path)["made_up"])[0]

    return make


def grid(**rows: list[float | None]) -> dict[tuple[str, int], float | None]:
    return {(name, seed): value for name, row in rows.items() for seed, value in enumerate(row)}


def best(*winners: str) -> dict[str, Any]:
    return {"kind": "best", "key": "key", "winners": list(winners)}


def test_best(finding: Make) -> None:
    found = finding(
        best("a"), grid(a=[1, 1.1, 0.9], b=[3, 3.2, 2.9], c=[2, 2.1, 2]), "patch_distance"
    )
    assert found.verdict == HOLDS
    assert found.numbers == {"a": [1, 1.1, 0.9], "b": [3, 3.2, 2.9], "c": [2, 2.1, 2]}


def test_best_is_beaten(finding: Make) -> None:
    found = finding(best("a"), grid(a=[3, 3.1, 3], b=[1, 1.2, 1], c=[5, 5, 5]), "patch_distance")
    assert found.verdict == FAILS


def test_best_where_higher_is_better(finding: Make) -> None:
    assert finding(best("b"), grid(a=[20, 21, 20], b=[30, 30.5, 31]), "psnr").verdict == HOLDS


def test_best_within_the_spread(finding: Make) -> None:
    found = finding(best("a"), grid(a=[1, 3, 2], b=[2, 2, 2.5]), "patch_distance")
    assert found.verdict == UNKNOWN


def test_best_of_two_winners(finding: Make) -> None:
    numbers = grid(a=[5, 5.1, 5], b=[1, 1.1, 1], c=[2, 2.2, 2.1])
    assert finding(best("a", "b"), numbers, "patch_distance").verdict == HOLDS


def test_one_block_tells_nothing(finding: Make) -> None:
    found = finding(best("a"), grid(a=[1], b=[100]), "patch_distance")
    assert found.verdict == UNKNOWN
    assert "no confidence interval" in found.reason


def test_incomplete_blocks_do_not_count(finding: Make) -> None:
    numbers = grid(a=[1, 1.1, 9], b=[3, 3.2, None])
    found = finding(best("a"), numbers, "patch_distance")
    assert found.numbers == {"a": [1, 1.1], "b": [3, 3.2]}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ({"a": [30, 31], "b": [20, 21.5], "c": [10, 11.1]}, HOLDS),
        ({"a": [30, 31], "b": [10, 11.5], "c": [20, 21.1]}, FAILS),
        ({"a": [30, 31], "b": [20, 21.5], "c": [20.1, 21.4]}, UNKNOWN),
    ],
)
def test_falls(finding: Make, rows: dict[str, Any], expected: str) -> None:
    assert finding({"kind": "falls", "key": "key"}, grid(**rows), "psnr").verdict == expected


def test_rises(finding: Make) -> None:
    numbers = grid(a=[1, 1.1], b=[2, 2.1], c=[5, 5.2])
    assert finding({"kind": "rises", "key": "key"}, numbers, "roughness").verdict == HOLDS


def test_varies_is_an_analysis_of_variance(finding: Make) -> None:
    rows: dict[str, Any] = {"a": [1.0, 2.0, 3.1, 4.2], "b": [1.4, 2.6, 3.4, 4.7]}
    found = finding({"kind": "varies", "key": "key"}, grid(**rows), "gram_distance")
    # with two settings, the F of randomised blocks is the square of the paired t
    expected = stats.ttest_rel(rows["a"], rows["b"])
    assert f"F = {expected.statistic**2:.3g}, p = {expected.pvalue:.2g}" in found.reason
    assert found.verdict == HOLDS


def test_the_analysis_of_variance_compares_linear_models() -> None:
    """F says how much worse a least-squares fit of blocks is without the settings."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        blocks, settings = rng.integers(2, 7, 2)
        values = rng.normal(size=(blocks, settings)) + rng.normal(0, 3, (blocks, 1))
        block, setting = (axis.ravel() for axis in np.indices(values.shape))
        by_block = np.eye(blocks)[block]

        def residual(design: NDArray[np.float64], values: NDArray[np.float64] = values) -> float:
            fit = design @ np.linalg.lstsq(design, values.ravel())[0]
            return float(np.square(values.ravel() - fit).sum())

        reduced, full = (
            residual(by_block),
            residual(np.hstack([by_block, np.eye(settings)[setting]])),
        )
        freedom = (settings - 1) * (blocks - 1)
        expected = (reduced - full) / (settings - 1) / (full / freedom)
        ratio, p = claims.blocked_anova(values)
        assert ratio == pytest.approx(expected, rel=1e-9)
        assert p == pytest.approx(stats.f.sf(expected, settings - 1, freedom), rel=1e-9)


def test_intervals_are_those_of_the_t_test() -> None:
    rng = np.random.default_rng(0)
    for count in range(2, 9):
        numbers = rng.normal(1, 2, count).tolist()
        expected = stats.ttest_1samp(numbers, 0).confidence_interval(0.95)
        mean, half = claims.interval(numbers)
        assert (mean - half, mean + half) == pytest.approx(tuple(expected), rel=1e-9)
    assert claims.interval([2.5]) == (2.5, float("inf"))
    assert claims.interval([2.5, 2.5]) == (2.5, 0)


def test_varies_not(finding: Make) -> None:
    numbers = grid(a=[1, 2, 3], b=[3, 1, 2], c=[2, 3, 1])
    found = finding({"kind": "varies", "key": "key"}, numbers, "gram_distance")
    assert found.verdict == UNKNOWN


def test_verdicts_are_those_of_the_t_test() -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        numbers = rng.normal(rng.choice([-1, 0, 1]), 1, rng.integers(2, 8)).tolist()
        sided = stats.ttest_1samp(numbers, 0)
        expected = UNKNOWN
        if sided.pvalue < 0.05:
            expected = HOLDS if np.mean(numbers) > 0 else FAILS
        assert claims.verdict(numbers) == expected
        seen.add(expected)
    assert seen == {HOLDS, FAILS, UNKNOWN}


@pytest.mark.parametrize(("bound", "expected"), [(30, HOLDS), (60, FAILS)])
def test_alike(finding: Make, bound: float, expected: str) -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(20, 200, (16, 16, 3))
    images = {
        ("one", seed): (base + rng.integers(0, 3, base.shape)).astype(np.uint8) for seed in range(3)
    }
    claim = {"kind": "alike", "key": "seed", "at_least": bound}
    found = finding(claim, images, "psnr")
    assert found.verdict == expected
    assert len(found.numbers["between results"]) == 3  # pairs of three


def test_to_the_same_loss(finding: Make) -> None:
    slow = [(0, 0.0, 100), (1, 0.5, 50), (2, 1.0, 20), (3, 1.5, 10)]
    fast = [(0, 0.0, 90), (1, 0.4, 10), (2, 0.9, 5), (3, 1.3, 2)]
    numbers = {("slow", 0): slow, ("slow", 1): slow, ("fast", 0): fast, ("fast", 1): fast}
    found = finding(best("fast"), numbers, "seconds_to_loss")
    assert found.numbers == {"slow": [1.5, 1.5], "fast": [0.4, 0.4]}
    assert found.verdict == HOLDS
    assert found.reason.startswith("lead over the best of the others: 1.1 ")


@pytest.mark.parametrize(("value", "expected"), [("mean", HOLDS), ("sum", FAILS)])
def test_setting(tmp_path: Path, value: str, expected: str) -> None:
    claim = {"text": "t", "kind": "setting", "key": "normalize.layers", "value": value}
    experiment = {"name": "made_up", "claims": [claim]}
    config = {"normalize": {"layers": "mean"}}
    write_run(tmp_path, experiment, ["seed=0"], [["seed=0"]], config=config)
    (found,) = claims.test(collect(tmp_path)["made_up"])
    assert found.verdict == expected
    assert found.reason == "normalize.layers = mean; completed runs: 1"


def test_damaged_records_are_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = write_run(tmp_path, {"name": "made_up"}, ["seed=0"], [["seed=0"], ["seed=1"]])
    for number, text in enumerate(["", "[]", "{}", '{"experiment": 3}', good.name, "\0"]):
        folder = tmp_path / "runs" / f"bad{number}" / "experiments"
        folder.mkdir(parents=True)
        (folder / "made_up.json").write_text(text)
    found = collect(tmp_path)
    assert [job.run is not None for job in found["made_up"].jobs] == [True, False]
    assert caplog.text.count("skipped, truncated or altered") == 6


def test_runs_of_a_changed_file_are_not_mixed(tmp_path: Path) -> None:
    """Cells come from the newest sweep, from equal older ones, and from single runs like them."""
    experiment = {"name": "made_up"}
    jobs = [[f"seed={seed}", "steps=5"] for seed in range(4)]

    def write(seed: int, number: int, **record: Any) -> str:
        overrides = [f"seed={seed}", "steps=5", *record.pop("also", [])]
        folder = write_run(tmp_path, experiment, [*overrides, f"{number}"], jobs)
        (path,) = (folder / "experiments").iterdir()
        path.write_text(
            json.dumps(json.loads(path.read_text()) | {"overrides": overrides, **record})
        )
        return folder.name

    write(0, 1, base="changed", asked="2024")
    same = write(0, 2, asked="2025", also=["logger=none"])
    newest = write(1, 3, asked="2027")
    write(1, 4, asked="2025")
    single = write(2, 5, base="", jobs=[], asked="2028")
    write(3, 6, base="", jobs=[], asked="2028", also=["image.size=9"])
    found = collect(tmp_path)["made_up"].jobs
    assert [job.run and job.run.folder.name for job in found] == [same, newest, single, None]


def test_a_table_has_the_order_of_its_keys_and_names_what_is_missing(tmp_path: Path) -> None:
    """The file may list keys in another order than the sweep; a sweep may lack combinations."""
    experiment = {"name": "made_up", "rows": ["style", "content"], "columns": ["steps"]}
    names = [("b", "x"), ("b", "y"), ("a", "x"), ("a", "y")]
    jobs = [
        [f"content={content}", f"style={style}", f"steps={steps}"]
        for content, style in names
        for steps in (20, 5)
    ]
    folder = write_run(tmp_path, experiment, jobs[0], jobs[:-1], losses={"loss/total": 2.5})
    write_run(tmp_path, experiment, jobs[1], jobs[:-1], status="failed", reason="no memory")
    found = collect(tmp_path)["made_up"]
    table = lay_out(found, Gallery(tmp_path / "page"))
    assert [column.caption for column in table.columns] == ["steps 20", "steps 5"]
    assert [row.caption for row in table.rows] == ["x · b", "x · a", "y · b", "y · a"]
    captions = [[cell.caption for cell in row.cells] for row in table.rows]
    assert captions[0] == ["loss 2.5", "failed: no memory"]
    assert captions[3] == ["missing: not run yet", "not part of the sweep"]
    (line,) = lines(found)
    assert (line.run.folder, line.caption, line.group) == (folder, "b · x · steps 20", "steps 20")
    assert RunRecord(folder).experiments == ["made_up"]
    single = [f"nst {' '.join(job)} hydra.mode=RUN" for job in jobs[:-1]]
    assert found.command.splitlines() == single  # the jobs are no full product
    write_run(tmp_path / "all", experiment, jobs[0], jobs, losses={"loss/total": 2.5})
    assert collect(tmp_path / "all")["made_up"].command == "nst content=b,a style=x,y steps=20,5"


PLAIN: dict[str, Any] = {
    "text": "Which?",
    "key": "loss",
    "measures": ["patch_distance"],
    "average": ["seed"],
}
EQUAL: dict[str, Any] = {**PLAIN, "at_equal": "content_distance", "along": "weights"}
POINTS = (0.1, 0.2, 0.4)


def swept(
    root: Path, curves: Mapping[str, Callable[[float, int, int], float]], **declared: Any
) -> Experiment:
    """Runs with every loss, three weights, three pictures and two seeds.

    Args:
        root: outputs.
        curves: for each loss, the patch distance at (content distance, picture, seed).
        declared: of the experiment.
    """
    experiment = {"name": "made_up", **declared}
    places = list(itertools.product(curves, range(3), range(3), range(2)))
    jobs = [[f"loss={a}", f"weights={b}", f"pair={c}", f"seed={d}"] for a, b, c, d in places]
    for (loss, weights, pair, seed), job in zip(places, jobs, strict=True):
        x = POINTS[weights] * (1 + 0.1 * pair)
        measures = {"content_distance": x, "patch_distance": curves[loss](x, pair, seed)}
        config = {"style_loss": {"name": loss}, "image": {"size": 64}, "seed": seed}
        config["weights"] = {"style": 1e5}
        write_run(root, experiment, job, jobs, measures=measures, config=config)
    return collect(root)["made_up"]


def straight(offset: float) -> Callable[[float, int, int], float]:
    """A curve over the logarithm of the content distance; pictures differ more than losses."""
    return lambda x, pair, seed: offset - math.log(x) + 3 * pair + 0.01 * pair * offset + 0.2 * seed


def test_values_at_an_equal_content_distance_lie_on_the_curves(tmp_path: Path) -> None:
    experiment = swept(tmp_path, {"a": straight(1.0), "b": straight(1.5)})
    found = compare(experiment, QuestionConfig(**EQUAL), "patch_distance")
    level = [0.2 * (1 + 0.1 * pair) for pair in range(3)]  # the geometric middle of 0.1 to 0.4
    expected = [
        [
            np.mean([straight(offset)(level[pair], pair, seed) for seed in range(2)])
            for offset in (1.0, 1.5)
        ]
        for pair in range(3)
    ]
    np.testing.assert_allclose(found.values, expected)
    assert found.settings == ["a", "b"]
    assert found.level == pytest.approx(np.mean(level))


def test_curves_that_share_no_range_are_omitted_and_counted(tmp_path: Path) -> None:
    assert shared_level([[1, 2, 4], [5, 9]]) is None
    assert shared_level([[1, 4], [2, 8]]) == pytest.approx(8**0.5)
    assert shared_level([[-1, 1], [0, 4]]) == 0.5
    curves = {"a": straight(1.0), "b": straight(1.5)}
    experiment = swept(tmp_path, curves)
    for path in tmp_path.glob("runs/loss_b-*-pair_2-*/run.json"):
        facts = json.loads(path.read_text())
        facts["measures"]["content_distance"] += 1
        path.write_text(json.dumps(facts))
    experiment = collect(tmp_path)["made_up"]
    found = compare(experiment, QuestionConfig(**EQUAL), "patch_distance")
    assert len(found.values) == 2
    assert found.omitted == 2  # both seeds of the picture
    assert "2" in found.remark


def test_seeds_are_averaged_so_that_pictures_count(tmp_path: Path) -> None:
    experiment = swept(tmp_path, {"a": straight(1.0), "b": straight(1.5)})
    assert len(compare(experiment, QuestionConfig(**EQUAL), "patch_distance").values) == 3
    each = QuestionConfig(**{**EQUAL, "average": []})
    assert len(compare(experiment, each, "patch_distance").values) == 6


def test_choice(tmp_path: Path) -> None:
    """c is 0.5 behind a in every picture; b is so on average, but wins on one picture."""

    def uneven(x: float, pair: int, seed: int) -> float:
        return straight(1.0)(x, pair, seed) + (-0.5, 1.0, 1.0)[pair]

    curves = {"c": straight(1.5), "b": uneven, "a": straight(1.0)}
    experiment = swept(tmp_path, curves, choices=[EQUAL])
    (choice,) = choose(experiment)
    assert choice.best == ["a", "b"]
    assert list(choice.numbers) == ["a", "b", "c"] or list(choice.numbers) == ["a", "c", "b"]
    assert "3 blocks at content distance" in choice.reason
    assert choice.optimised == []


def test_a_choice_of_the_lowest_or_the_highest(tmp_path: Path) -> None:
    curves = {"gram": straight(1.0), "b": straight(3.0)}
    same: dict[str, Any] = {"key": "loss", "text": "Which?"}
    experiment = swept(tmp_path, curves, choices=[{**same, "measures": ["patch_distance"]}])
    assert choose(experiment)[0].best == ["gram"]
    swapped = [
        {
            **job.run.facts,
            "measures": {
                "psnr": job.run.measures["patch_distance"],
                "gram_distance": job.run.measures["patch_distance"],
            },
        }
        for job in experiment.jobs
        if job.run
    ]
    for job, facts in zip(experiment.jobs, swapped, strict=True):
        assert job.run
        (job.run.folder / "run.json").write_text(json.dumps(facts))
    other: dict[str, Any] = {**same, "measures": ["psnr", "gram_distance"]}
    config = replace(collect(tmp_path)["made_up"].config, choices=[QuestionConfig(**other)])
    highest, lowest = choose(replace(collect(tmp_path)["made_up"], config=config))
    assert (highest.best, lowest.best) == (["b"], ["gram"])
    assert (highest.optimised, lowest.optimised) == ([], ["gram"])  # Gram's loss is that metric


def test_one_block_makes_no_choice(tmp_path: Path) -> None:
    experiment = swept(tmp_path, {"a": straight(1.0), "b": straight(1.5)}, choices=[EQUAL])
    jobs = [job for job in experiment.jobs if job.values["pair"] == "0"]
    (choice,) = choose(replace(experiment, jobs=jobs))
    assert choice.best == []
    assert "two are needed" in choice.reason


def test_against_and_each(tmp_path: Path) -> None:
    curves = {"a": straight(1.0), "b": straight(1.5), "c": straight(0.5)}
    claim = {**EQUAL, "kind": "best", "winners": ["a"], "text": "a is best."}
    experiment = swept(
        tmp_path, curves, claims=[claim, {**claim, "against": ["b"]}, {**claim, "each": "pair"}]
    )
    found = claims.test(experiment)
    assert [each.verdict for each in found] == [FAILS, HOLDS, *[UNKNOWN] * 3]
    assert list(found[1].numbers) == ["a", "b"]
    assert [each.text for each in found[2:]] == [f"a is best. ({pair})" for pair in range(3)]


def test_limits_are_those_of_the_runs(tmp_path: Path) -> None:
    experiment = swept(tmp_path, {"a": straight(1.0), "b": straight(1.5)})
    found = limits([experiment])
    assert found["sizes, px"] == "64"
    assert found["seeds"] == "0, 1"


def test_bars_are_those_within_blocks(tmp_path: Path) -> None:
    """The pictures differ by 3, which no bar shows."""
    experiment = swept(tmp_path, {"a": straight(1.0), "b": straight(1.5)})
    plot = PlotConfig(x="content_distance", y="patch_distance", key="weights", by="loss")
    figure = plots.mean_trade_off(experiment, plot)
    assert [line.name for line in figure.data] == ["a", "b"]
    x = [np.mean([point * (1 + 0.1 * pair) for pair in range(3)]) for point in POINTS]
    np.testing.assert_allclose(figure.data[0].x, x)
    assert max(figure.data[0].error_y.array) < 0.2


def test_captions_of_lists_are_found_as_hydra_writes_them(tmp_path: Path) -> None:
    """The sweeper escapes colons in lists."""
    job = [r"style.path=[builtin\:brick,builtin\:waves]"]
    caption = {"style.path": {"[builtin:brick,builtin:waves]": "bricks to waves"}}
    experiment = {"name": "made_up", "rows": ["style.path"], "labels": caption}
    write_run(tmp_path, experiment, job, [job], losses={"loss/total": 2.5})
    found = collect(tmp_path)["made_up"]
    assert found.caption(found.jobs[0], ["style.path"]) == "bricks to waves"
