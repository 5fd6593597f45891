"""The page that sets runs side by side, used in a real browser as a person does."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from nst.cli import report
from nst.compare.comparison import build
from nst.compare.filmstrips import filmstrip, outdated
from nst.compare.select import NoRunsError, entries, select
from nst.runner.record import read_facts
from nst.utils.errors import ConfigError
from tests.browser import LOOKS, Seen, one_browser, opened
from tests.commands import LIMIT, wait_until
from tests.helpers import nst, nst_report, slow

SWEEP = ("init=noise,content", "weights=mild,strong")
TINY = ("image.size=32", "steps=6", "snapshot_every=2", "logger=none")
STEPS = [0, 2, 4, 6]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of four runs, and the page of it, both by their commands."""
    folder = tmp_path_factory.mktemp("compare")
    ended = nst("-m", "hydra/launcher=vectorized", *SWEEP, *TINY, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    ended = nst_report("compare", "sweep=last", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "outputs/compare/index.html\n"
    return folder


@pytest.fixture(scope="module", autouse=True)
def _browser() -> Iterator[None]:
    with one_browser():
        yield


@pytest.fixture(scope="module")
def page(root: Path) -> Path:
    return root / "outputs/compare/index.html"


@pytest.fixture(scope="module")
def open_page(page: Path) -> Iterator[tuple[Page, Seen]]:
    with opened(page) as (browser, seen):
        yield browser, seen


@pytest.fixture
def view(open_page: tuple[Page, Seen]) -> tuple[Page, Seen]:
    """The page, loaded once for several tests, as at the start for each: by an empty link."""
    browser, seen = open_page
    browser.mouse.move(0, 0)
    browser.evaluate(
        "() => { history.replaceState(null, '', location.pathname);"
        "dispatchEvent(new Event('hashchange')); scrollTo(0, 0); document.activeElement.blur(); }"
    )
    return browser, seen


def ready(browser: Page, count: int = 4) -> None:
    """Until every picture in the grid is the snapshot itself."""
    browser.wait_for_function(f"document.querySelectorAll('#grid .sharp.on').length === {count}")


def steps(browser: Page) -> list[int]:
    return browser.locator("#grid .cell").evaluate_all("all => all.map(c => +c.dataset.step)")


def pictures(browser: Page) -> list[str]:
    return browser.locator("#grid .sharp").evaluate_all("all => all.map(i => i.src)")


def labels(browser: Page) -> list[str]:
    return browser.locator("#table tbody tr").evaluate_all("all => all.map(r => r.dataset.run)")


def slide(browser: Page, index: int) -> None:
    browser.locator("#slider").fill(str(index))


def pixels(browser: Page, where: str) -> np.ndarray:
    data = browser.locator(where).screenshot()
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(float)


def test_the_slider_moves_every_picture(root: Path, view: tuple[Page, Seen]) -> None:
    browser, seen = view
    ready(browser)
    assert steps(browser) == [6] * 4
    for index, step in enumerate(STEPS):
        slide(browser, index)
        assert steps(browser) == [step] * 4
        assert browser.locator("#at").inner_text() == f"step {step}"
        ready(browser)
        shown = pictures(browser)
        assert len(set(shown)) == 4
        for address in shown:
            assert address.endswith(f"/snapshots/{step:05d}.png")
            assert (root / "outputs/runs" / address.split("/runs/")[1]).is_file()
        sizes = browser.locator("#grid .sharp").evaluate_all("all => all.map(i => i.naturalWidth)")
        assert all(sizes)
        assert browser.locator("#over .overlay").get_attribute("data-steps") == f"{step} {step}"
    assert seen.problems == []
    assert all(url.startswith(("file://", "data:")) for url in seen.requests)


def test_the_filmstrip_shows_the_frame_before_the_snapshot_is_there(page: Path) -> None:
    """Of all snapshots, the small frame is most like the one that follows it."""
    with opened(page) as (browser, _):
        browser.emulate_media(reduced_motion="reduce")  # else a snapshot may be half faded in
        sharp, small = [], []
        for index in range(len(STEPS)):
            slide(browser, index)
            ready(browser)
            sharp.append(pixels(browser, "#grid .stage >> nth=0"))
            browser.add_style_tag(content=".sharp { visibility: hidden }")
            small.append(pixels(browser, "#grid .stage >> nth=0"))
            browser.evaluate("document.head.lastElementChild.remove()")
        for index, frame in enumerate(small):
            apart = [np.abs(frame - snapshot).mean() for snapshot in sharp]
            assert int(np.argmin(apart)) == index


def test_by_seconds(root: Path, view: tuple[Page, Seen]) -> None:
    browser, _ = view
    ready(browser)
    browser.get_by_text("seconds", exact=True).click()
    assert browser.locator("#at").inner_text().endswith(" s")
    assert steps(browser) == [6] * 4
    slide(browser, 0)
    assert steps(browser) == [0] * 4
    slide(browser, 50)
    at = browser.evaluate("nst.state.positions[50]")
    assert browser.locator("#at").inner_text() == f"{at:.1f} s"
    expected = []
    for address in pictures(browser):
        run = root / "outputs/runs" / address.split("/runs/")[1].split("/")[0]
        with (run / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        before = [int(r["step"]) for r in rows if float(r["seconds"]) <= at]
        expected.append(max([step for step in before if step in STEPS], default=0))
    assert steps(browser) == expected


def test_rows_and_columns_by_any_key(view: tuple[Page, Seen]) -> None:
    browser, _ = view
    ready(browser)
    head = browser.locator("#grid thead th").all_inner_texts()
    assert [text.split()[-1] for text in head] == ["noise", "content"]
    side = browser.locator("#grid tbody th").all_inner_texts()
    assert [text.split()[-1] for text in side] == ["10000", "1e6"]
    browser.locator("#columns").select_option("weights.style")
    head = browser.locator("#grid thead th").all_inner_texts()
    assert [text.split()[-1] for text in head] == ["10000", "1e6"]
    for name in ("rows", "columns"):
        browser.locator(f"#{name}").select_option("")
    assert browser.locator("#grid table").count() == 0
    assert browser.locator("#grid .flow .cell").count() == 4


def test_wipe_and_difference(page: Path) -> None:
    with opened(page, height=1400) as (browser, seen):
        browser.emulate_media(reduced_motion="reduce")  # else a picture may be half faded in
        ready(browser)
        browser.wait_for_function("document.querySelectorAll('#over .sharp.on').length === 2")
        over = "#over .overlay"
        mode = browser.locator("#pair .choice")
        shown = {}
        for name in ("A", "B", "difference"):
            mode.get_by_text(name, exact=True).click()
            shown[name] = pixels(browser, over)
        assert np.abs(shown["A"] - shown["B"]).mean() > 10
        expected = np.abs(shown["A"] - shown["B"])
        assert np.abs(shown["difference"] - expected).mean() < 3
        mode.get_by_text("wipe", exact=True).click()
        # drag the edge to a quarter
        box = browser.locator(over).bounding_box()
        assert box is not None
        browser.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        browser.mouse.down()
        browser.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2, steps=4)
        browser.mouse.up()
        assert abs(int(browser.locator("#wipe").input_value()) - 25) <= 1
        browser.add_style_tag(content=".edge-handle { display: none !important }")
        wiped = pixels(browser, over)
        edge = wiped.shape[1] // 4
        for part, name in ((slice(0, edge - 6), "A"), (slice(edge + 6, None), "B")):
            assert np.abs(wiped[:, part] - shown[name][:, part]).mean() < 2
        assert seen.problems == []


def test_the_same_detail_everywhere(view: tuple[Page, Seen]) -> None:
    browser, _ = view
    ready(browser)

    def places() -> set[str]:
        script = "all => all.map(layer => getComputedStyle(layer).transform)"
        return set(browser.locator(".layer").evaluate_all(script))

    assert places() == {"matrix(1, 0, 0, 1, 0, 0)"}
    stage = browser.locator("#grid .stage").first
    stage.dblclick(position={"x": 10, "y": 10})
    scales = {text.split(",")[0] for text in places()}
    assert scales == {"matrix(2"}
    before = browser.evaluate("[nst.view.x, nst.view.y]")
    box = stage.bounding_box()
    assert box is not None
    browser.mouse.move(box["x"] + 60, box["y"] + 60)
    browser.mouse.down()
    browser.mouse.move(box["x"] + 20, box["y"] + 40, steps=3)
    browser.mouse.up()
    after = browser.evaluate("[nst.view.x, nst.view.y]")
    assert after[0] == pytest.approx(before[0] - 40 / box["width"], abs=0.01)
    assert after[1] == pytest.approx(before[1] - 20 / box["height"], abs=0.01)
    shares = browser.locator(".layer").evaluate_all(
        "all => all.map(layer => { const m = new DOMMatrix(getComputedStyle(layer).transform);"
        "return [m.e / layer.offsetWidth, m.f / layer.offsetHeight] })"
    )
    assert len(shares) == 12  # four cells and the pair, two layers each
    for x, y in shares:
        assert (x, y) == pytest.approx(after, abs=0.01)
    browser.locator("#fit").click()
    assert places() == {"matrix(1, 0, 0, 1, 0, 0)"}


def test_filter_sort_and_pin(view: tuple[Page, Seen]) -> None:
    browser, _ = view
    ready(browser)
    filter_box = browser.locator("#filter")

    def shown(text: str, count: int) -> None:
        filter_box.fill(text)
        browser.wait_for_function(
            f"document.querySelectorAll('#table tbody tr').length === {count}"
        )
        assert browser.locator("#grid .cell").count() == count

    shown("init=noise", 2)
    shown("init=noise weights.style=1e6", 1)
    shown(
        "loss<100",
        browser.evaluate("nst.state.runs.filter(r => nst.numberOf(r, 'loss') < 100).length"),
    )
    shown("no-such-thing", 0)
    assert "No run matches the filter" in browser.locator("#grid").inner_text()
    shown("", 4)
    losses = browser.evaluate(
        "Object.fromEntries(nst.state.runs.map(r => [r.key, nst.numberOf(r, 'loss')]))"
    )
    heading = browser.get_by_role("button", name="final loss")
    heading.click()
    assert [losses[key] for key in labels(browser)] == sorted(losses.values())
    browser.get_by_role("button", name="final loss ↑").click()
    assert [losses[key] for key in labels(browser)] == sorted(losses.values(), reverse=True)
    last = labels(browser)[-1]
    browser.locator(f"#table tr[data-run='{last}'] [data-mark=pin]").click()
    assert labels(browser)[0] == last
    shown("no-such-thing", 1)
    assert labels(browser) == [last]


def test_many_runs_are_shown_some_at_a_time(page: Path) -> None:
    """The filter and sorting are of all runs; a run that is opened or pinned is shown."""
    with opened(page) as (browser, seen):
        ready(browser)
        every = labels(browser)
        browser.evaluate("location.hash = 'most=1'")
        ready(browser, 1)
        assert labels(browser) == every[:1]
        assert browser.locator("#about").inner_text().startswith("1 of 4 runs")
        assert "The first 1 of 4 runs" in browser.locator("#grid").inner_text()
        browser.locator("#filter").fill(every[3])
        browser.wait_for_function("document.querySelector('#more') === null")
        assert labels(browser) == every[3:]
        browser.locator("#filter").fill("")
        browser.wait_for_function("document.querySelector('#more') !== null")
        browser.evaluate("(key) => nst.open(key)", every[2])
        assert labels(browser) == [every[2]]
        browser.locator("#more").click()
        assert labels(browser) == [every[2], every[0]]
        assert browser.locator("#more").inner_text() == "show 2 more"
        browser.locator("#more").click()
        assert sorted(labels(browser)) == sorted(every)
        assert browser.locator("#more").count() == 0
        assert seen.problems == []


def test_metrics_that_a_run_minimises_itself_are_marked(view: tuple[Page, Seen]) -> None:
    browser, _ = view
    heads = [text.strip() for text in browser.locator("#table thead > tr > *").all_inner_texts()]
    for title, marked in (("Gram distance", True), ("content distance", True), ("SSIM", False)):
        cells = browser.locator(f"#table tbody td:nth-child({heads.index(title) + 1})")
        texts = cells.all_inner_texts()
        assert len(texts) == 4
        assert all(text.endswith("*") == marked for text in texts), title
    assert browser.locator("#optimised").is_visible()
    titles = browser.locator("#versus th").all_inner_texts()
    assert "Gram distance*" in titles
    assert "SSIM" in titles


def test_a_link_restores_the_view(page: Path) -> None:
    with opened(page) as (browser, _):
        ready(browser)
        slide(browser, 1)
        browser.locator("#filter").fill("1e6")
        browser.wait_for_function("document.querySelectorAll('#table tbody tr').length === 2")
        browser.locator("#pair .choice").get_by_text("difference").click()
        browser.locator("#gain").fill("7")
        browser.locator("#metric").select_option("loss/style/relu3_1")
        browser.locator("#logx").check()
        browser.locator("#in").click()
        browser.get_by_role("button", name="time").click()
        browser.wait_for_function("location.hash === nst.link()")
        link = browser.url
        state = browser.evaluate("JSON.stringify(nst.view)")
    with opened(page) as (browser, seen):
        browser.goto(link)
        browser.reload()
        ready(browser, 2)
        assert json.loads(browser.evaluate("JSON.stringify(nst.view)")) == json.loads(state)
        assert steps(browser) == [2, 2]
        assert browser.locator("#filter").input_value() == "1e6"
        assert browser.locator("#gain").input_value() == "7"
        assert browser.locator("#over .overlay").get_attribute("data-mode") == "difference"
        assert browser.locator("#metric").input_value() == "loss/style/relu3_1"
        browser.evaluate("location.hash = '#at=nonsense&nobody=1&rows=no-such-key'")
        browser.wait_for_timeout(300)
        assert seen.problems == []


@slow
def test_a_link_put_in_while_the_page_is_about_to_write_its_own(page: Path) -> None:
    with opened(page) as (browser, _):
        ready(browser)
        # the page's timer comes before the event that tells of the new address
        browser.evaluate(
            """() => {
                const later = window.setTimeout;
                let write;
                window.setTimeout = (job) => { write = job; };
                nst.writeLink();
                window.setTimeout = later;
                location.hash = "#zoom=1.5";
                write();
            }"""
        )
        browser.wait_for_function("nst.view.zoom === 1.5")
        browser.wait_for_timeout(300)
        assert browser.url.endswith("#zoom=1.5")


def test_with_the_keyboard_alone(page: Path) -> None:
    with opened(page) as (browser, seen):
        ready(browser)
        press = browser.keyboard.press
        press("ArrowLeft")
        assert steps(browser) == [4] * 4
        press("ArrowLeft")
        press("ArrowLeft")
        press("ArrowLeft")
        assert steps(browser) == [0] * 4
        press("ArrowRight")
        assert steps(browser) == [2] * 4
        press("Space")
        assert browser.locator("#play").get_attribute("aria-pressed") == "true"
        browser.wait_for_function("document.querySelector('#at').textContent === 'step 6'")
        browser.wait_for_function("document.querySelector('#play').textContent === 'play'")
        press("+")
        press("Shift+ArrowRight")
        assert browser.evaluate("nst.view.zoom") == 1.5
        press("0")
        press("/")
        browser.keyboard.type("noise")
        browser.wait_for_function("nst.view.filter === 'noise'")
        assert browser.locator("#grid .cell").count() == 2
        for _ in range(40):  # on to the second picture, in the order of focus
            press("Tab")
            at = browser.evaluate("document.activeElement.closest('figure')?.dataset.run")
            if at == browser.evaluate("nst.state.shown[1].key"):
                break
        assert browser.evaluate("document.activeElement.matches('figure.cell')")
        second = browser.evaluate("nst.state.shown[1].key")
        press("a")
        assert browser.evaluate("nst.pairOf().map(run => run.key)")[0] == second
        press("p")
        assert browser.evaluate("nst.view.pins") == [second]
        assert browser.evaluate("document.activeElement.dataset.run") == second
        assert seen.problems == []


def test_hovering_is_linked(view: tuple[Page, Seen]) -> None:
    browser, _ = view
    ready(browser)
    browser.wait_for_function("document.querySelectorAll('#plot .trace').length === 4")
    key = browser.evaluate("nst.traces[2].key")
    browser.locator(f"figure[data-run='{key}'] .stage").hover()
    strong = "[...document.querySelectorAll('#plot .trace')].map(t => +t.style.opacity)"
    assert browser.evaluate(strong) == [0.15, 0.15, 1, 0.15]
    assert browser.locator(f"tr[data-run='{key}']").evaluate("row => row.classList.contains('lit')")
    # a click in the curves moves the slider there
    browser.locator("#plot").scroll_into_view_if_needed()
    browser.wait_for_function(  # until nothing above it grows any more
        "[...document.querySelectorAll('#over .inputs img')].every(i => i.naturalWidth)"
        " && document.querySelector('#plot').dataset.linked"
    )
    for _ in range(10):  # the page may still move between a look at the plot and the click
        place = browser.evaluate(
            "() => { const plot = document.querySelector('#plot'), l = plot._fullLayout;"
            "const box = plot.getBoundingClientRect(), y = nst.traces[0].curves['loss/total'][2];"
            "const at = (axis, value) => axis._offset + axis.d2p(value);"
            "return [box.x + at(l.xaxis, 2), box.y + at(l.yaxis, y)] }"
        )
        browser.mouse.move(place[0] - 3, place[1])
        browser.mouse.move(*place)
        browser.wait_for_function("document.querySelectorAll('figure.lit').length === 1")
        browser.mouse.down()
        browser.mouse.up()
        browser.wait_for_timeout(300)  # ms
        if browser.locator("#at").inner_text() == "step 2":
            break
    assert steps(browser) == [2] * 4


def test_every_curve_is_there(root: Path, view: tuple[Page, Seen]) -> None:
    browser, _ = view
    browser.wait_for_function("document.querySelectorAll('#plot .trace').length === 4")
    options = browser.locator("#metric option").evaluate_all("all => all.map(o => o.value)")
    assert {"loss/total", "loss/style/relu1_1", "loss/style/relu5_1"} <= set(options)
    browser.locator("#metric").select_option("loss/style/relu1_1")
    drawn = browser.evaluate("document.querySelector('#plot').data.map(t => [t.x, t.y])")
    for (xs, ys), run in zip(drawn, browser.evaluate("nst.traces.map(r => r.name)"), strict=True):
        lines = (root / "outputs/runs" / run / "metrics.csv").read_text().splitlines()
        column = lines[0].split(",").index("loss/style/relu1_1")
        assert xs == list(range(7))
        assert ys == pytest.approx([float(line.split(",")[column]) for line in lines[1:]], 1e-3)
    browser.locator("#metric").select_option(label="style, every layer of A and B")
    assert browser.evaluate("document.querySelector('#plot').data.length") == 10
    browser.get_by_text("seconds", exact=True).click()
    assert browser.locator("#plot .xtitle").text_content() == "seconds"


def test_the_command_of_a_run_is_exact(root: Path, page: Path) -> None:
    with opened(page) as (browser, _):
        ready(browser)
        cell = browser.locator("#grid .cell").nth(1)
        command = cell.locator(".copy").get_attribute("data-copy")
        run = cell.get_attribute("data-run")
        browser.context.grant_permissions(["clipboard-read", "clipboard-write"])
        cell.locator(".copy").click()
        browser.wait_for_function("document.querySelector('#grid').innerText.includes('copied')")
        assert browser.evaluate("navigator.clipboard.readText()") == command
    assert command is not None
    words = shlex.split(command)
    assert words[0] == "nst"
    ended = nst(*words[1:], cwd=root)
    assert ended.returncode == 0, ended.stderr
    assert "already finished" in ended.stderr
    assert ended.stdout.strip().endswith(f"-{run}")


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_fits_and_can_be_read(page: Path, width: int, dark: bool) -> None:
    with opened(page, width=width, dark=dark) as (browser, seen):
        ready(browser)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        slide(browser, 1)
        assert steps(browser) == [2] * 4
        unnamed = browser.evaluate(
            "[...document.querySelectorAll('button, input, select, figure, [tabindex=\"0\"]')]"
            ".filter(e => !(e.getAttribute('aria-label') || e.innerText?.trim()"
            " || [...(e.labels || [])].some(l => l.innerText.trim()))).map(e => e.outerHTML)"
        )
        assert unnamed == []
        for colour in ("--ink", "--soft", "--accent", "--good"):
            assert contrast(browser, colour, "--paper") >= 4.5
        assert contrast(browser, "--paper", "--accent") >= 4.5  # what is chosen
        browser.emulate_media(reduced_motion="reduce")
        moving = "getComputedStyle(document.querySelector('.sharp.on') ?? document.body)"
        assert browser.evaluate(f"{moving}.transitionDuration") == "0s"
        assert seen.problems == []


def contrast(browser: Page, one: str, other: str) -> float:
    """Ratio of luminances, WCAG 2.2."""

    def luminance(name: str) -> float:
        text = browser.evaluate(
            f"getComputedStyle(document.documentElement).getPropertyValue('{name}').trim()"
        )
        digits = text.lstrip("#")
        parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_unfinished_and_hostile(root: Path, tmp_path: Path) -> None:
    """Whatever a config or a reason says is text; runs without pictures have a place too."""
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'`"
    shutil.copytree(root / "outputs", tmp_path / "outputs")
    first, second, third, fourth = sorted((tmp_path / "outputs/runs").iterdir())
    config = (first / "config.yaml").read_text()
    (first / "config.yaml").write_text(
        config.replace("backbone:\n", f"backbone:\n  remark: {json.dumps(hostile)}\n", 1)
    )
    facts = read_facts(second) | {"status": "failed", "reason": hostile}
    (second / "run.json").write_text(json.dumps(facts))
    shutil.rmtree(second / "snapshots")
    (third / "snapshots/00006.png").write_bytes(b"no picture")
    (third / "run.json").write_text(json.dumps(read_facts(third) | {"status": "running"}))
    (fourth / "metrics.csv").unlink()
    made = build(tmp_path / "outputs")
    with opened(made) as (browser, seen):
        browser.wait_for_function("document.querySelectorAll('#grid .sharp.on').length === 3")
        assert browser.locator("#about").inner_text().startswith("4 runs (")
        assert hostile in browser.locator("#table").inner_text()
        assert browser.locator("#grid .empty", has_text="onerror").count() == 1
        running = browser.locator("#grid .state", has_text="running")
        assert running.inner_text().startswith("step 4")  # the last that can be read
        assert browser.locator("img[src=x]").count() == 0
        assert seen.problems == []


def test_the_page_keeps_itself_up_to_date(root: Path, tmp_path: Path) -> None:
    """A real watcher beside a real sweep; what the person does in the page stays."""
    shutil.copytree(root / "outputs", tmp_path / "outputs")
    shutil.rmtree(tmp_path / "outputs/compare")
    runs = sorted((tmp_path / "outputs/runs").iterdir())
    later = tmp_path / "later"
    runs[0].rename(later)
    process = subprocess.Popen(
        [sys.executable, "-m", "nst.cli.report", "watch"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    made = tmp_path / "outputs/compare/index.html"
    try:
        wait_until(made.exists, process)
        with opened(made) as (browser, seen):
            ready(browser, 3)
            assert "updated automatically" in browser.locator("#about").inner_text()
            slide(browser, 1)
            browser.evaluate("window.still = true")
            later.rename(runs[0])
            browser.wait_for_function("document.querySelectorAll('#grid .cell').length === 4")
            assert steps(browser) == [2] * 4
            assert browser.evaluate("window.still")  # not loaded anew
            process.send_signal(signal.SIGINT)
            out, told = process.communicate(timeout=LIMIT)
            assert process.returncode == 0, told
            assert "Traceback" not in told
            assert out == "outputs/compare/index.html\n"
            browser.wait_for_function("nst.state.data.live === null")
            assert seen.problems == []
    finally:
        process.kill()


def test_which_runs(root: Path, tmp_path: Path) -> None:
    found = entries(root / "outputs")
    for words, count in (
        ([], 4),
        (["init=noise"], 2),
        (["init=noise,content", "weights.style=1e6"], 2),
        (["weights.style=1000000"], 2),
        (["status=completed", "sweep=last"], 4),
        (["*-content-*"], 2),
        (["content.path=builtin:chel*"], 4),
        (["layers.style=[relu1_1,relu2_1,relu3_1,relu4_1,relu5_1]"], 4),
        (["layers.style=relu5_1"], 4),
        ([found[0].name[-10:]], 1),
    ):
        assert len(select(found, words)) == count, words
    with pytest.raises(NoRunsError, match=r"no run matches init=blend \(4 searched\)"):
        select(found, ["init=blend"])
    with pytest.raises(ConfigError, match=r"did you mean weights\.style"):
        select(found, ["weights.stile=1"])
    for words, status, told in (
        (["seeed=1"], 2, "seeed=1: no run has such a key (did you mean seed?)"),
        (["nobody"], 1, "no run matches nobody (4 searched)"),
    ):
        ended = nst_report("compare", *words, cwd=root)
        assert ended.returncode == status
        assert ended.stderr.startswith(f"nst-report: {told}")
        assert len(ended.stderr.splitlines()) == 1
    ended = nst_report("compare", cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr == "nst-report: no run in outputs/runs\n"
    assert list(tmp_path.iterdir()) == []


def test_the_old_flag_works_and_names_the_command(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root)
    assert report.report(["sweep=last", "--compare"]) == 0
    out, err = capsys.readouterr()
    assert out == "outputs/compare/index.html\n"
    assert err.startswith("nst-report: --compare is deprecated; use: nst-report compare\n")
    assert report.report(["comapre"]) == 2
    assert "command=comapre: no such command (did you mean compare?)" in capsys.readouterr().err
    assert report.report(["--help"]) == 0
    out, _ = capsys.readouterr()
    assert all(f"  {command}  " in out for command in report.COMMANDS)


def test_filmstrips(tmp_path: Path) -> None:
    """Made once, in order, and of what can be read."""
    (tmp_path / "snapshots").mkdir()
    snapshots = []
    for step in range(7):
        path = tmp_path / "snapshots" / f"{step:05d}.png"
        Image.new("RGB", (40, 30), (step * 40, 0, 0)).save(path)
        snapshots.append((step, path))
    made = filmstrip(tmp_path, "run", snapshots)
    assert made is not None
    assert (made.columns, made.rows, made.steps, made.size) == (3, 3, list(range(7)), (40, 30))
    with Image.open(tmp_path / made.href) as sheet:
        assert sheet.size == (120, 90)
        for step in range(7):
            pixel: Any = sheet.getpixel((step % 3 * 40 + 20, step // 3 * 30 + 15))
            assert abs(pixel[0] - step * 40) < 12
    stamp = (tmp_path / made.href).stat().st_mtime_ns
    assert filmstrip(tmp_path, "run", snapshots) == made
    assert (tmp_path / made.href).stat().st_mtime_ns == stamp
    snapshots[3][1].write_bytes(b"")
    shorter = filmstrip(tmp_path, "run", snapshots)
    assert shorter is not None
    assert shorter.steps == [0, 1, 2, 4, 5, 6]
    assert re.fullmatch(r"filmstrips/run-[0-9a-f]{10}\.webp", shorter.href)
    current = Path(shorter.href).name
    assert outdated(tmp_path, [current]) == [tmp_path / made.href]
    assert outdated(tmp_path, ["run-2-0123456789.webp"]) == []
    assert filmstrip(tmp_path, "none", []) is None
