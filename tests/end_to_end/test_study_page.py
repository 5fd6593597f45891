"""The page of a study, used in a real browser as a person does."""

from __future__ import annotations

from collections.abc import Iterator
from math import dist
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.study import StudyDirection
from playwright.sync_api import Page

from nst.compare.comparison import build
from nst.runner.record import RunRecord
from nst.sweeps.search import record
from nst.sweeps.search.study import OBJECTIVE, RUN, storage
from tests.browser import one_browser, opened
from tests.helpers import nst, nst_report

TRIALS = 8
SEARCH = (
    *("-m", "hydra/sweeper=optuna", "hydra/sweeper/sampler=random", "hydra/launcher=vectorized"),
    *(f"hydra.sweeper.n_trials={TRIALS}", f"hydra.sweeper.trials_per_batch={TRIALS}"),
    *("image.size=32", "steps=4", "snapshot_every=2", "logger=none"),
)
STUDIES = {
    "two": (
        "objective=[content_distance,patch_distance]",
        *("weights.style=tag(log,interval(1e3,1e6))", "weights.tv=0,1e5"),
    ),
    "one": (
        *("objective=[loss]", "weights.style=1,1e30,1e39", "divergence=null", "init=noise"),
        "++hydra.sweeper.pruner={_target_: optuna.pruners.ThresholdPruner, upper: 1e4}",
        # so many random trials that every weight is among them; those of one weight share a run
        *("hydra.sweeper.n_trials=24", "hydra.sweeper.trials_per_batch=24"),
    ),
}


@pytest.fixture(scope="module", autouse=True)
def _browser() -> Iterator[None]:
    with one_browser():
        yield


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies by their commands, and one of the same runs with a third objective."""
    folder = tmp_path_factory.mktemp("studies")
    for name, given in STUDIES.items():
        ended = nst(*SEARCH, f"study={name}", *given, cwd=folder)
        assert ended.returncode == (name == "one"), ended.stderr  # a weight diverges
    _add_objective(folder / "outputs", "two", "three", "ssim")
    return folder


def _add_objective(outputs: Path, name: str, copy: str, objective: str) -> None:
    """Copies a study, with a further objective that is better if higher."""
    study = optuna.load_study(study_name=name, storage=storage(outputs, name))
    directions = [*study.directions, StudyDirection.MAXIMIZE]
    made = optuna.create_study(
        storage=storage(outputs, copy), study_name=copy, directions=directions
    )
    made.set_user_attr(OBJECTIVE, [*study.user_attrs[OBJECTIVE], objective])
    for trial in study.trials:
        value = RunRecord(outputs / "runs" / trial.user_attrs[RUN]).measure(objective)
        assert value is not None
        made.add_trial(
            optuna.trial.create_trial(
                params=trial.params,
                distributions=trial.distributions,
                values=[*trial.values, value],
                user_attrs=trial.user_attrs,
            )
        )


def points(browser: Page, plot: str) -> list[list[int]]:
    """Numbers of the trials that a plot shows, by trace."""
    browser.wait_for_function(f"document.querySelector('#{plot}').dataset.linked")
    found: list[list[int]] = browser.evaluate(
        f"document.querySelector('#{plot}').data.map(t => [...(t.customdata ?? [])])"
    )
    return found


def place(browser: Page, plot: str, trace: int, point: int) -> tuple[float, float]:
    """Where a point is in the window, px."""
    browser.locator(f"#{plot}").scroll_into_view_if_needed()
    found: tuple[float, float] = browser.evaluate(
        "([id, t, p]) => { const plot = document.getElementById(id), l = plot._fullLayout;"
        "const box = plot.getBoundingClientRect(), trace = plot._fullData[t];"
        "const at = (axis, value) => axis._offset + axis.d2p(value);"
        "const y = l[trace.yaxis === 'y2' ? 'yaxis2' : 'yaxis'];"
        "return [box.x + at(l.xaxis, trace.x[p]), box.y + at(y, trace.y[p])] }",
        [plot, trace, point],
    )
    return found


def most_isolated(browser: Page, plot: str, trace: int) -> int:
    """The point of a trace that is farthest from any other point: it can be hovered."""
    places = {
        (each, point): place(browser, plot, each, point)
        for each, numbers in enumerate(points(browser, plot))
        for point in range(len(numbers))
    }

    def isolation(point: int) -> float:
        own = (trace, point)
        return min(dist(places[own], at) for other, at in places.items() if other != own)

    return max((point for each, point in places if each == trace), key=isolation)


def focused(browser: Page) -> Any:
    """The run whose picture in the grid has the focus, in the window."""
    return browser.evaluate(
        "() => { const cell = document.activeElement;"
        "const { top, bottom } = cell.getBoundingClientRect();"
        "return cell.matches('#grid figure') && top >= 0 && bottom <= innerHeight"
        " ? cell.dataset.run : null }"
    )


def test_the_front(root: Path) -> None:
    ended = nst_report("compare", "study=two", cwd=root)
    assert ended.returncode == 0, ended.stderr
    study = record.read(root / "outputs", "two")
    best = [trial.number for trial in study.front]
    with opened(root / ended.stdout.strip(), width=1400) as (browser, seen):
        browser.emulate_media(reduced_motion="reduce")  # else it scrolls for a while
        assert browser.locator("#study-title").inner_text() == "Study two"
        others, front = points(browser, "front")
        assert front == best
        assert others
        assert sorted([*others, *front]) == [*range(TRIALS)]
        drawn = browser.evaluate("document.querySelector('#front').data.map(t => [t.x, t.y])")
        assert [*zip(*drawn[1], strict=True)] == [tuple(trial.values) for trial in study.front]
        assert browser.locator("#grid .cell").count() == TRIALS
        # pictures at the points: the corner of each on the side where no trial is
        shots = browser.locator(".shot:visible")
        assert 1 <= shots.count() <= len(best) == browser.locator(".shot").count()
        runs = {trial["run"]: trial for trial in browser.evaluate("nst.state.data.study.trials")}
        for shot in shots.all():
            box, trial = shot.bounding_box(), runs[shot.get_attribute("data-run")]
            assert box is not None
            x, y = place(browser, "front", 1, front.index(trial["number"]))
            box = shot.bounding_box()
            assert box is not None
            assert 0 < x - (box["x"] + box["width"]) < 10
            assert 0 < box["y"] - y < 10
            title = shot.get_attribute("title") or ""
            assert title.splitlines()[0] == f"trial {trial['number']}"
            assert {f"{key}={value}" for key, value in trial["settings"].items()} <= {
                *title.splitlines()
            }
        # they follow the slider
        browser.locator("#slider").fill("0")
        frame = "getComputedStyle(document.querySelector('.shot .frame')).backgroundPosition"
        assert browser.evaluate(frame) == "0% 0%"
        # a click on a picture, and one on a point
        run = shots.first.get_attribute("data-run")
        shots.first.click()
        assert focused(browser) == run
        point = most_isolated(browser, "front", 0)
        number = others[point]
        x, y = place(browser, "front", 0, point)
        browser.mouse.move(x - 3, y)
        browser.mouse.move(x, y)
        browser.wait_for_function("document.querySelector('#front .hovertext')")
        text = browser.locator("#front .hovertext").text_content() or ""
        assert text.startswith(f"trial {number}")
        browser.mouse.click(x, y)
        browser.wait_for_function("document.activeElement.matches('#grid figure')")
        assert focused(browser) == browser.evaluate(f"nst.state.data.study.trials[{number}].run")
        # one that the filter hides is pinned
        browser.locator("#filter").fill("no-such-run")
        browser.wait_for_function("document.querySelectorAll('#grid .cell').length === 0")
        browser.locator(".shot:visible").first.click()
        assert focused(browser) == run
        assert browser.locator("#grid .cell").count() == 1
        # history and importances
        assert points(browser, "history") == [[], [*range(TRIALS)], [], []]
        line = browser.evaluate("document.querySelector('#history').data[0].y")
        assert line == sorted(line)
        assert 0 < line[-1] <= 1
        bars = browser.evaluate(
            "document.querySelector('#importances').data.map(t => [t.name, t.y])"
        )
        assert [name for name, _ in bars] == ["patch distance", "content distance"]  # from below
        assert {*bars[0][1]} == {"weights.style", "weights.tv"}
        assert seen.problems == []


def test_three_objectives(root: Path) -> None:
    """A choice of the two axes, which the link keeps; SSIM is better to the right."""
    with opened(build(root / "outputs", ["study=three"])) as (browser, seen):
        points(browser, "front")
        titles = "[l.xaxis, l.yaxis].map(a => a.title.text)"
        shown = (
            f"(() => {{ const l = document.querySelector('#front').layout; return {titles} }})()"
        )
        assert browser.evaluate(shown) == ["content distance", "patch distance"]
        browser.locator("#front-across").select_option(label="SSIM")
        assert browser.evaluate(shown) == ["SSIM", "patch distance"]
        assert browser.locator("#front-about").inner_text().startswith("lower right is better")
        browser.wait_for_function("location.hash === nst.link()")
        link = browser.url
        assert seen.problems == []
    with opened(root / "outputs/compare/index.html") as (browser, seen):
        browser.goto(link)
        browser.reload()
        points(browser, "front")
        assert browser.evaluate(shown) == ["SSIM", "patch distance"]
        shot = browser.locator(".shot:visible").first.bounding_box()
        assert shot is not None
        assert seen.problems == []


def test_one_objective(root: Path) -> None:
    """No front; every trial in the history, those that were pruned or failed as such."""
    study = record.read(root / "outputs", "one")
    with opened(build(root / "outputs", ["study=one"])) as (browser, seen):
        statuses = ("completed", "pruned", "failed")
        expected = [
            [trial.number for trial in study.trials if trial.status == status]
            for status in statuses
        ]
        assert all(expected)
        assert points(browser, "history") == [[], *expected]
        assert not browser.locator("#front").is_visible()
        assert browser.locator("#study-about").inner_text().startswith("24 trials (")
        # a pruned run: its reason, in the plot and under its picture
        x, y = place(browser, "history", 2, 0)
        browser.mouse.move(x - 3, y)
        browser.mouse.move(x, y)
        reason = study.trials[expected[1][0]].reason
        browser.wait_for_function("document.querySelector('#history .hovertext')")
        assert reason in (browser.locator("#history .hovertext").text_content() or "")
        state = browser.locator("#grid .state", has_text="pruned")
        assert state.inner_text().endswith(f"pruned: {reason}")
        assert browser.locator("#grid .cell").count() == len({t.run for t in study.trials})
        assert seen.problems == []


@pytest.mark.parametrize(("width", "dark"), [(390, True)])
def test_fits_a_phone(root: Path, width: int, dark: bool) -> None:
    with opened(build(root / "outputs", ["study=two"]), width=width, dark=dark) as (browser, seen):
        points(browser, "front")
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        assert browser.locator(".shot:visible").count() >= 1
        unnamed = browser.locator("#study :is(button, select)").evaluate_all(
            "all => all.filter(e => !e.getAttribute('aria-label') && !e.labels?.length).length"
        )
        assert unnamed == 0
        assert seen.problems == []
