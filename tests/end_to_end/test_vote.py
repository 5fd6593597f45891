"""Voting by eye in a real browser, by the keyboard alone, and what becomes of the votes."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
from playwright.sync_api import Page

from nst.compare.comparison import build
from nst.reports.page import build as build_report
from nst.runner import votes
from tests.browser import LOOKS, one_browser, opened
from tests.commands import Process
from tests.helpers import nst_report
from tests.run_folders import made_up

COLOURS = {"light": (220, 220, 220), "grey": (120, 120, 120), "dark": (20, 20, 20)}


@pytest.fixture(scope="module", autouse=True)
def _browser() -> Iterator[None]:
    with one_browser():
        yield


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Three settings, and a run of another content."""
    folder = tmp_path / "outputs"
    for number, (name, colour) in enumerate(COLOURS.items()):
        made_up(folder, f"{name}-{number:010x}", colour, weights={"style": 10.0**number})
    made_up(folder, "other-000000000a", content={"path": "builtin:coffee"}, weights={"style": 1.0})
    return folder


def names(browser: Page) -> list[str]:
    """The run folders of the two results that are shown."""
    sources = browser.locator(".result img").evaluate_all("all => all.map(i => i.src)")
    return [source.split("/runs/")[1].split("/")[0] for source in sources]


def prefer(browser: Page, wanted: str) -> None:
    """Votes for the result whose run has this name; if it is not shown, for no difference."""
    browser.wait_for_function(
        "[...document.querySelectorAll('#voting img')].every(i => i.complete)"
    )
    shown = [name.partition("-")[0] for name in names(browser)]
    key = {(True, False): "ArrowLeft", (False, True): "ArrowRight"}
    browser.keyboard.press(key.get((shown[0] == wanted, shown[1] == wanted), "Space"))


def ranking(page: Path) -> list[str]:
    """The settings on the report's page, the best first."""
    return re.findall(r'<td class="sentence">weights.style=(\d+)</td>', page.read_text())


def test_with_the_keyboard_and_the_server(outputs: Path) -> None:
    """The ranking changes with the votes."""
    earlier = votes.Vote("light-0000000000", "dark-0000000002", "left", "2026-01-31T12:00:00Z", "x")
    votes.add(outputs, [earlier])
    assert ranking(build_report(outputs)) == ["1", "100"]
    environment = {**os.environ, "COLUMNS": "200"}
    process = Process("nst.cli.report", ["vote"], outputs.parent, environment)
    try:
        told = next(line for line in process.stderr if "http" in line)
        address = told.rpartition(" ")[2]
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/compare/index\.html", address)
        with opened(outputs / "compare/index.html") as (browser, seen):
            browser.goto(address)
            browser.wait_for_function("globalThis.nst?.isVoting()")
            progress = browser.locator("#progress")
            assert progress.inner_text() == "0 of 3 pairs"
            text = browser.locator("#voting").inner_text()
            assert not any(each in text for each in ("weights", "100", *COLOURS))
            prefer(browser, "dark")
            assert progress.inner_text() == "1 of 3 pairs"
            browser.get_by_text("1 of 1 saved").wait_for()
            _, first = votes.read(outputs)
            before = names(browser)
            prefer(browser, "dark")
            browser.get_by_text("2 of 2 saved").wait_for()
            # taken back: the same two again, on the same sides
            browser.keyboard.press("Backspace")
            browser.get_by_text("1 of 1 saved").wait_for()
            assert names(browser) == before
            assert votes.read(outputs) == [earlier, first]
            prefer(browser, "dark")
            prefer(browser, "dark")
            assert progress.inner_text() == "All pairs are compared."
            browser.keyboard.press("ArrowLeft")  # has no effect
            browser.get_by_text("3 of 3 saved").wait_for()
            browser.keyboard.press("Escape")
            assert not browser.evaluate("nst.isVoting()")
            # who opens the page again has compared all of them, another person none
            browser.reload()
            browser.wait_for_function("globalThis.nst?.isVoting()")
            assert progress.inner_text() == "All pairs are compared."
            browser.locator("#voter").fill("Zoë")
            browser.keyboard.press("Enter")
            assert progress.inner_text() == "0 of 3 pairs"
            prefer(browser, "dark")
            browser.get_by_text("1 of 1 saved").wait_for()
            assert [vote.voter for vote in votes.read(outputs)] == ["x", "", "", "", "Zoë"]
            assert seen.problems == []
        process.send_signal(signal.SIGINT)
        out, told = process.communicate()
        assert process.returncode == 0, told
        assert "Traceback" not in told
        assert "4 new votes, 5 in outputs/votes.jsonl; the ranking: nst-report report" in told
        assert out == "outputs/compare/index.html\n"
    finally:
        process.kill()
    pairs = [{vote.left, vote.right} for vote in votes.read(outputs)[1:4]]
    assert all(one != other for one, other in combinations(pairs, 2))
    assert not any("other" in name for pair in pairs for name in pair)
    page = build_report(outputs)
    assert ranking(page)[0] == "100"  # the dark ones
    with opened(page) as (browser, seen):
        bars = browser.locator("#preferred .chance")
        assert bars.count() == 3
        drawn = bars.evaluate_all(
            "all => all.map(bar => ['::before', '::after'].map(part => {"
            "const style = getComputedStyle(bar, part);"
            "return [parseFloat(style.left), parseFloat(style.width)] })"
            ".concat([[0, bar.clientWidth]]))"
        )
        for (low, wide), (mark, size), (_, width) in drawn:
            assert 0 <= low < mark + size / 2 < low + wide <= width + 0.5
        marks = [mark for _, (mark, _), _ in drawn]
        assert marks == sorted(marks, reverse=True)
        assert seen.problems == []


def test_a_page_from_disk_downloads_the_votes(outputs: Path) -> None:
    page = build(outputs)
    with opened(page) as (browser, seen):
        browser.wait_for_function("document.querySelectorAll('#grid .sharp.on').length === 4")
        browser.keyboard.press("v")
        assert browser.evaluate("nst.isVoting()")
        prefer(browser, "grey")
        prefer(browser, "grey")
        assert browser.locator("#outcome").inner_text() == "2 not downloaded yet"
        with browser.expect_download() as got:
            browser.locator("#download").click()
        assert browser.locator("#outcome").inner_text() == ""
        assert got.value.suggested_filename == "votes.jsonl"
        got.value.save_as(outputs.parent / "got.jsonl")
        browser.keyboard.press("+")
        browser.keyboard.press("Escape")
        # the page's own keys are back, and had no effect meanwhile
        assert browser.evaluate("[nst.view.at, nst.view.zoom]") == [float("inf"), 1]
        browser.keyboard.press("ArrowLeft")
        assert browser.evaluate("nst.view.at") == 0
        assert seen.problems == []
        assert all(url.startswith(("file://", "data:", "blob:")) for url in seen.requests)
    found = votes.load(outputs.parent / "got.jsonl")
    assert len(found) == 2
    assert nst_report("vote", "--add", "got.jsonl", cwd=outputs.parent).returncode == 0
    assert votes.read(outputs) == found
    # the page has them now: the pairs are compared, and the runs have a preference
    with opened(build(outputs)) as (browser, seen):
        browser.wait_for_function("document.querySelectorAll('#grid .sharp.on').length === 4")
        browser.locator("#vote").click()
        assert browser.locator("#progress").inner_text() == "2 of 3 pairs"
        browser.keyboard.press("Escape")
        heading = browser.get_by_role("button", name="preference")
        heading.click()
        browser.get_by_role("button", name="preference ↑").click()
        rows = browser.locator("#table tbody tr").evaluate_all("all => all.map(r => r.dataset.run)")
        expected = votes.preference_values(outputs)
        best = max(expected, key=expected.__getitem__)
        assert best.endswith(rows[0])
        assert seen.problems == []


def test_a_server_that_has_gone(outputs: Path) -> None:
    """The votes remain on the page, to be downloaded, and are sent when it is back."""
    with opened(build(outputs)) as (browser, _):
        browser.evaluate("nst.state.server = true")  # and nobody answers
        browser.keyboard.press("v")
        prefer(browser, "grey")
        browser.get_by_text("Not saved: the server does not answer").wait_for()
        assert browser.locator("#download").is_visible()
        browser.evaluate(
            "() => { window.sent = [];"
            "window.fetch = async (...given) => (window.sent.push(given), { ok: true }); }"
        )
        prefer(browser, "grey")
        browser.get_by_text("2 of 2 saved").wait_for()
        assert not browser.locator("#download").is_visible()
        sent = browser.evaluate("window.sent.map(([path, {method, body}]) => [path, method, body])")
        cast = browser.evaluate("nst.cast.map((vote) => JSON.stringify(vote))")
        assert sent == [["/votes", "POST", vote] for vote in cast]


def test_pairs_that_were_compared_least_come_first(outputs: Path) -> None:
    made_up(outputs, "more-000000000b", weights={"style": 7.0})
    with opened(build(outputs)) as (browser, _):
        found = browser.evaluate(
            """() => {
                const pairs = nst.fairPairs(nst.state.runs), votes = [];
                for (const voter of ["a", "b"]) {
                    for (let pair; ({ pair } = nst.nextPair(pairs, votes, voter)) && pair;) {
                        const [left, right] = pair.map((run) => run.name);
                        votes.push({ left, right, voter, preferred: "left", time: "" });
                    }
                }
                return [pairs.length, votes.map(({left, right}) => [left, right])];
            }"""
        )
        count, shown = found
        assert (count, len(shown)) == (6, 12)
        for rounds in (shown[:6], shown[6:]):
            assert len({frozenset(pair) for pair in rounds}) == 6
            # every result once before one is seen again
            assert set(Counter(name for pair in rounds[:2] for name in pair).values()) == {1}
        first = browser.evaluate(
            "Array.from({length: 60}, () => nst.nextPair(nst.fairPairs(nst.state.runs), [], '')"
            ".pair[0].name)"
        )
        assert len(set(first)) == 4  # in any order, on any side
        other = browser.evaluate("nst.state.runs.filter(run => run.subject === null).length")
        assert other == 0


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_fits(outputs: Path, width: int, dark: bool) -> None:
    with opened(build(outputs), width=width, dark=dark, height=700) as (browser, seen):
        browser.locator("#vote").click()
        browser.wait_for_function(
            "[...document.querySelectorAll('#voting img')].every(i => i.complete && i.naturalWidth)"
        )
        inside = browser.evaluate(
            "[...document.querySelectorAll('#voting *')].filter(e => e.getClientRects().length)"
            ".every(e => { const b = e.getBoundingClientRect();"
            "return b.left >= -1 && b.right <= innerWidth + 1 && b.bottom <= innerHeight + 1 })"
        )
        assert inside
        for index in range(2):
            box = browser.locator(".result img").nth(index).bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) > 150
        unnamed = browser.evaluate(
            "[...document.querySelectorAll('#voting :is(button, input)')]"
            ".filter(e => !(e.getAttribute('aria-label') || e.innerText?.trim()"
            " || [...(e.labels || [])].some(l => l.innerText.trim()))).map(e => e.outerHTML)"
        )
        assert unnamed == []
        assert seen.problems == []
