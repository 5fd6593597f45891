"""The notebooks, executed by a real kernel at a small size, and the code of docs/python.md."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient
from PIL import Image
from playwright.sync_api import expect

import nst
from nst.api import arguments, execution
from nst.images.picture import builtin_names
from tests.browser import opened

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))

SMALLER = {
    r"else 96\b": "else 32",
    r"else 40\b": "else 4",
    r'"size": 64}, steps=20': '"size": 32}, steps=2',
}
"""What a notebook says of sizes, and what is enough to see that its cells work."""


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_notebook(file: Path, tmp_path: Path) -> None:
    book = nbformat.read(file, as_version=4)
    nbformat.validate(book)
    assert all(not cell.get("outputs") for cell in book.cells)  # outputs are not kept in the files
    assert (ROOT / "docs" / "python.md").read_text().count(f"notebooks/{file.name}") == 1
    for cell in book.cells:
        for pattern, small in SMALLER.items():
            cell.source = re.sub(pattern, small, cell.source)
    client = NotebookClient(
        book, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()  # raises at the first error
    outputs = [each for cell in book.cells for each in cell.get("outputs", [])]
    pages = [each.data.get("text/html", "") for each in outputs if "data" in each]
    pictures = [each for each in outputs if "image/png" in each.get("data", {})]
    assert pictures or any("<iframe" in page for page in pages)
    assert len(list((tmp_path / "outputs" / "runs").iterdir())) >= 2
    errors = [each.text for each in outputs if each.get("name") == "stderr"]
    assert not re.search("Traceback|Warning", "".join(errors)), errors


def test_there_are_notebooks() -> None:
    assert len(NOTEBOOKS) == 4


def test_the_code_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block in order, as one session, with smaller pictures and fewer steps."""
    monkeypatch.chdir(tmp_path)
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    for name in ("photo.jpg", "painting.jpg"):
        photo.save(name)

    def words(overrides: Sequence[str], keys: Mapping[str, Any], swept: bool = False) -> list[str]:
        smaller = ["image.size=32", "steps=2", "snapshot_every=1", "logger=none"]
        if "+experiments=weights" in overrides:
            smaller += ["weights.style=1e3,1e5", "content=coffee"]
        return [*arguments.words(overrides, keys, swept), *smaller]

    monkeypatch.setattr(execution, "words", words)
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 4
    names: dict[str, Any] = {"photo": photo, "torch": torch}
    for block in blocks:
        code = block.replace("/data/outputs", "outputs").replace("loss<20", "loss>0")
        exec(compile(code, "docs/python.md", "exec"), names)
    assert len(names["runs"]) > 3
    assert len(list(Path("outputs/runs").iterdir())) > 8


@pytest.mark.parametrize("width", [500, 1000])
def test_the_grid_in_a_cell(width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a real browser: the frame has the height of its pictures, and one slider moves all."""
    monkeypatch.chdir(tmp_path)
    runs = nst.sweep(
        *("schedule=single", "image.size=32", "steps=4", "snapshot_every=1", "logger=none"),
        init=["noise", "content"],
        seed=[0, 1],
    )
    cell = Path("cell.html")
    grid = runs.grid(rows="seed", columns="init")._repr_html_()
    cell.write_text(f"<!doctype html><p>a cell</p>{grid}", encoding="utf-8")
    with opened(cell, width=width) as (page, seen):
        frame = page.frame_locator("iframe")
        figures = frame.locator("figure[data-run]")
        expect(figures).to_have_count(3)
        expect(frame.locator("figure .state").first).to_contain_text("step 4")
        frame.locator("#slider").focus()
        page.keyboard.press("Home")
        for index in range(3):
            expect(figures.nth(index)).to_have_attribute("data-step", "0")
        expect(frame.locator("thead th").first).to_contain_text("noise")
        assert not frame.locator("#curves").is_visible()
        inside = page.frames[1]
        page.wait_for_timeout(300)
        scroll, shown = inside.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert scroll <= shown
        box = page.locator("iframe").bounding_box()
        height = inside.evaluate("document.documentElement.scrollHeight")
        assert box is not None and min(height, 1200) <= box["height"] + 1 <= height + 40
        assert not seen.problems and all(
            url.startswith(("data:", "file:", "about:")) for url in seen.requests
        )


def test_the_page_names_the_pictures() -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert [name for name in builtin_names() if f"`{name}`" not in page] == []
