"""Textures that tile: made by a command, measured, and shown as tiles on both pages."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page

from nst.metrics.seam import seam
from tests.browser import one_browser, opened
from tests.helpers import nst, nst_report

SIZE = 48
TEXTURE = (
    *("+experiments=texture_layers", "task=texture_synthesis", "style=waves", f"image.size={SIZE}"),
    *("layers=report", "layers.style=[conv1_1,conv2_1,conv3_1]", "schedule=pyramid", "steps=20"),
    *("seed=0", "backbone.padding=zeros,circular", "snapshot_every=10", "logger=none"),
    *("experiment.rows=[]", "experiment.columns=[backbone.padding]", "experiment.claims=[]"),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The texture of one style with and without, as an experiment, and both pages of it."""
    folder = tmp_path_factory.mktemp("tiles")
    for ended in (
        nst(*TEXTURE, cwd=folder),
        nst_report("compare", cwd=folder),
        nst_report("report", cwd=folder),
    ):
        assert ended.returncode == 0, ended.stderr
    return folder / "outputs"


@pytest.fixture(scope="module", autouse=True)
def _browser() -> Iterator[None]:
    with one_browser():
        yield


def _folder(root: Path, padding: str) -> Path:
    for path in (root / "runs").glob("*/config.yaml"):
        if yaml.safe_load(path.read_text())["backbone"]["padding"] == padding:
            return path.parent
    raise AssertionError(padding)


def _picture(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path))


def test_the_seam_is_measured_where_there_should_be_none(root: Path) -> None:
    found = {}
    for padding in ("zeros", "circular"):
        facts = json.loads((_folder(root, padding) / "run.json").read_text())
        found[padding] = facts["measures"]
    assert 0 < found["circular"]["seam"] <= 1
    assert found["circular"]["seam"] == seam(_picture(_folder(root, "circular") / "final.png"))
    assert "seam" not in found["zeros"]
    assert seam(_picture(_folder(root, "zeros") / "final.png")) > 1.5


def test_copies_of_the_result_lie_beside_it(root: Path) -> None:
    folder = _folder(root, "circular")
    one, four = _picture(folder / "final.png"), _picture(folder / "tiled.png")
    assert np.array_equal(four, np.tile(one, (2, 2, 1)))
    assert not (_folder(root, "zeros") / "tiled.png").exists()


def _differences(browser: Page) -> float:
    """Mean difference of two opposite quarters of the picture of the run that wraps around."""
    data = browser.locator("#grid .stage").last.screenshot()
    shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(float)
    half = len(shown) // 2
    first, last = slice(8, half - 8), slice(half + 8, 2 * half - 8)  # without rounded corners
    return float(np.abs(shown[first, first] - shown[last, last]).mean())


def test_the_comparison_page_shows_tiles(root: Path) -> None:
    with opened(root / "compare/index.html") as (browser, seen):
        browser.wait_for_function("document.querySelectorAll('#grid .sharp.on').length === 2")
        # the other texture too, to compare with
        assert browser.locator("#grid .stage.tiled").count() == 2
        assert browser.locator("#over .stage.tiled").count() == 2
        tiled = _differences(browser)
        box = browser.get_by_label("tiled")
        assert box.is_checked()
        box.uncheck()
        assert browser.locator(".stage.tiled").count() == 0
        assert _differences(browser) > 5 * tiled
        browser.wait_for_function("location.hash.includes('tiled=false')")
        browser.reload()
        browser.wait_for_function("document.querySelectorAll('#grid .sharp.on').length === 2")
        assert not box.is_checked()
        assert browser.locator(".stage.tiled").count() == 0
        assert seen.problems == []


def test_without_such_a_run_the_page_offers_no_tiles(root: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    folder = _folder(root, "zeros")
    (tmp_path / "runs" / folder.name).symlink_to(folder)
    ended = nst_report("compare", "--outputs", str(tmp_path), cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    with opened(tmp_path / "compare/index.html") as (browser, seen):
        browser.wait_for_function("document.querySelectorAll('#grid .sharp.on').length === 1")
        assert browser.locator(".stage.tiled").count() == 0
        assert not browser.get_by_label("tiled").is_visible()
        assert seen.problems == []


def test_the_report_shows_tiles(root: Path) -> None:
    with opened(root / "report/index.html") as (browser, seen):
        tiles = browser.locator("details.tiled")
        assert tiles.count() == 1
        tiles.locator("summary").click()
        image = tiles.get_by_role("img")
        box = image.bounding_box()
        assert box is not None
        assert (box["width"], box["height"]) == (2 * SIZE, 2 * SIZE)
        image.scroll_into_view_if_needed()
        shown = np.asarray(Image.open(io.BytesIO(image.screenshot())).convert("RGB")).astype(float)
        expected = _picture(_folder(root, "circular") / "tiled.png")
        # the place may be between two pixels; without the rounded corners
        apart = [np.abs(each - expected)[8:-8, 8:-8].mean() for each in (shown[:96], shown[-96:])]
        assert min(apart) < 1
        assert seen.problems == []
