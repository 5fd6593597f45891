"""Measured pictures on both pages, by the commands, in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageFilter
from playwright.sync_api import Page

from tests.browser import LOOKS, one_browser, opened
from tests.helpers import nst, nst_report

TINY = ("image.size=32", "steps=2", "snapshot_every=2", "logger=none")
PAIR = ("--content", "builtin:chelsea", "--style", "builtin:brushstrokes")


@pytest.fixture(scope="module", autouse=True)
def _browser() -> Iterator[None]:
    with one_browser():
        yield


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, and two pictures of another program: a run's result, and the same, blurred."""
    folder = tmp_path_factory.mktemp("measured")
    ended = nst("-m", "hydra/launcher=vectorized", "init=noise,content", *TINY, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    (folder / "other").mkdir()
    (result,) = folder.glob("outputs/runs/*-content-*/final.png")
    shutil.copy(result, folder / "other" / "same.png")
    with Image.open(result) as image:
        image.filter(ImageFilter.GaussianBlur(2)).save(folder / "other" / "blurred.png")
    ended = nst_report("measure", "other", *PAIR, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout.splitlines()) == 2
    assert ended.stderr == "nst-report: pictures: 2 measured\n"
    return folder


def ready(browser: Page, count: int) -> None:
    """Until every picture in the grid is loaded."""
    browser.wait_for_function(f"document.querySelectorAll('#grid .sharp.on').length === {count}")


def test_on_the_comparison_page(root: Path) -> None:
    assert nst_report("compare", cwd=root).returncode == 0
    with opened(root / "outputs/compare/index.html") as (browser, seen):
        ready(browser, 4)
        assert browser.locator("#about").inner_text() == "4 runs (2 completed, 2 measured)"
        heads = browser.locator("#grid thead th").all_inner_texts()
        assert [text.split()[1] for text in heads] == ["nst", "other"]
        browser.locator("#slider").fill("0")
        cells = browser.locator("#grid .cell").evaluate_all("all => all.map(c => c.innerText)")
        assert ["step 0" in text for text in cells] == [True, True, False, False]
        assert ["command" in text for text in cells] == [True, True, False, False]
        ready(browser, 4)
        files = browser.locator("#grid .sharp").evaluate_all("all => all.map(i => i.src)")
        assert [file.rpartition("/")[2] for file in files] == ["00000.png"] * 2 + ["final.png"] * 2
        assert browser.locator("#curves").is_visible()
        browser.locator("#filter").fill("program=other picture=same*")
        browser.wait_for_function("document.querySelectorAll('#table tbody tr').length === 1")
        assert seen.problems == []


def test_by_themselves_they_have_no_losses(root: Path) -> None:
    assert nst_report("compare", "program=other", cwd=root).returncode == 0
    with opened(root / "outputs/compare/index.html") as (browser, seen):
        ready(browser, 2)
        assert not browser.locator("#curves").is_visible()
        assert "losses" not in browser.locator("#versus").inner_text()
        assert "PSNR" in browser.locator("#versus").inner_text()
        assert seen.problems == []


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_on_the_report(root: Path, width: int, dark: bool) -> None:
    assert nst_report("report", cwd=root).returncode == 0
    page = root / "outputs/report/index.html"
    with opened(page, width=width, dark=dark) as (browser, seen):
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        rows = browser.locator("#measured-pictures tbody tr")
        texts = [row.split("\n") for row in rows.all_inner_texts()]
        assert [words[0].split("\t")[0] for words in texts[:2]] == ["blurred.png", "same.png"]
        sizes = browser.locator("#measured-pictures img").evaluate_all(
            "all => all.map(image => image.naturalWidth)"
        )
        assert len(sizes) == 2 + 4
        assert all(sizes)
        headings = browser.locator("#measured-pictures thead th")
        assert headings.nth(2).is_visible()
        for link in headings.locator("a").evaluate_all("all => all.map(a => a.hash)"):
            assert browser.locator(link).count() == 1
        numbers = [row.locator("td").all_inner_texts()[2:] for row in rows.all()]
        assert numbers[1] in numbers[2:]  # those of the run
        assert rows.locator("strong").count() >= len(numbers[0])
        assert seen.problems == []
