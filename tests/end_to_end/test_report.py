"""The page of a whole report, in a real browser."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import yaml
from hydra.plugins.sweeper import Sweeper
from PIL import Image
from playwright.sync_api import Page

from nst.cli.report import report
from nst.config.compose import conf_dir
from nst.reports.page import build
from nst.runner import experiment_jobs
from nst.runner.record import read_facts
from tests.browser import LOOKS, one_browser, opened
from tests.helpers import nst, nst_report, slow

TINY = ("image.size=32", "steps=2", "snapshot_every=2", "seed=0", "logger=none")
FILES = sorted((Path(conf_dir()) / "experiments").glob("*.yaml"))
ALL = [path.stem for path in FILES if "\n  report: " not in path.read_text()]
SOME = [name for name in ALL if name not in ("content_reconstruction", "noise_or_content")]
"""Tables of every form, in two thirds of the time: those two are columns, and rows by columns."""


@pytest.fixture(scope="module", params=[SOME, pytest.param(ALL, marks=slow)], ids=["some", "all"])
def names(request: pytest.FixtureRequest) -> list[str]:
    """The experiments on the page."""
    found: list[str] = request.param
    return found


@pytest.fixture(scope="module")
def root(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Experiments of the report, tiny and with one seed, by what `make report` calls."""
    folder = tmp_path_factory.mktemp("report")
    words = [] if names == ALL else names
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["nst"])
        # Hydra would compose each job once more, only to see that it can
        patch.setattr(Sweeper, "validate_batch_is_legal", lambda *_: None)
        assert report(["--run", "hydra/launcher=vectorized", *TINY, *words]) == 0
    assert printed.getvalue().strip().splitlines()[-1] == "outputs/report/index.html"
    return folder


@pytest.fixture(scope="module")
def page(root: Path) -> Path:
    return root / "outputs/report/index.html"


@pytest.fixture(scope="module", autouse=True)
def _browser() -> Iterator[None]:
    with one_browser():
        yield


@pytest.fixture(scope="module")
def shown(page: Path) -> Iterator[Page]:
    """The page, opened once for all who look at it and change nothing in it."""
    with opened(page) as (browser, _):
        browser.wait_for_function("document.querySelectorAll('.js-plotly-plot .xy').length > 7")
        yield browser


def _values(name: str, key: str) -> list[str]:
    """What the file says that a key takes; seeds were overridden."""
    if key == "seed":
        return ["0"]
    text = yaml.safe_load((Path(conf_dir()) / "experiments" / f"{name}.yaml").read_text())
    return re.findall(r"\[[^]]*\]|[^,]+", str(text["hydra"]["sweeper"]["params"][key]))


def test_tables_have_the_cells_that_the_files_declare(shown: Page, names: list[str]) -> None:
    sections = shown.locator("section[id]").evaluate_all("all => all.map(s => s.id)")
    assert [name for name in sections if name in names] == sorted(names, key=_section)
    for name in names:
        declared = yaml.safe_load((Path(conf_dir()) / "experiments" / f"{name}.yaml").read_text())[
            "experiment"
        ]
        rows = columns = 1
        for key in declared.get("rows", []):
            rows *= len(_values(name, key))
        for key in declared.get("columns", []):
            columns *= len(_values(name, key))
        columns *= len(declared.get("show", ["final"]))
        table = shown.locator(f"#{name} table.pictures tbody tr")
        assert table.count() == rows
        for row in range(rows):
            cells = table.nth(row).locator("td.cell")
            assert cells.count() == columns
            for column in range(columns):
                assert cells.nth(column).locator("img").count() >= 1
        text = shown.locator(f"#{name}").inner_text()
        for key in declared.get("columns", []):
            for value in _values(name, key):
                assert declared["labels"][key][value] in text
        pictures = shown.locator(f"#{name} .edge img").evaluate_all(
            "all => all.map(image => image.alt.split(',')[0])"
        )
        expected = declared.get("inputs", ["content", "style"])
        if name == "blending":
            expected = ["source", "mask", "target", "naive paste", "blend", "style"]
        assert set(pictures) == set(expected)


def _section(name: str) -> str:
    node = yaml.safe_load((Path(conf_dir()) / "experiments" / f"{name}.yaml").read_text())
    return str(node["experiment"]["section"])


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_everything_loads_from_disk(page: Path, names: list[str], width: int, dark: bool) -> None:
    with opened(page, width=width, dark=dark) as (browser, seen):
        browser.wait_for_function("document.querySelectorAll('.js-plotly-plot .xy').length > 7")
        sizes = browser.locator("img").evaluate_all("all => all.map(image => image.naturalWidth)")
        assert len(sizes) > 7 * len(names)
        assert all(sizes)
        assert seen.problems == []
        assert all(url.startswith(("file://", "data:")) for url in seen.requests)
        # nothing but tables, which scroll by themselves, is wider than the window
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        style = "getComputedStyle(document.body)"
        ink, paper = browser.evaluate(f"[{style}.color, {style}.backgroundColor]")
        brightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, paper)]
        assert (brightness[0] > brightness[1]) == dark


def test_every_plot_has_the_lines_of_its_runs(shown: Page, names: list[str]) -> None:
    for name in names:
        first = shown.locator(f"#{name} .js-plotly-plot").first
        lines = first.locator("g.trace").count()
        pictures = set(
            shown.locator(f"#{name} td.cell figure > a.shot").evaluate_all(
                "all => all.map(link => link.href)"
            )
        )
        starts = len(pictures) // 2 if name == "two_noises" else len(pictures)
        assert lines == max(starts, 1)
    trade_offs = shown.locator("#weights .js-plotly-plot")
    assert trade_offs.count() == 3
    assert trade_offs.nth(1).locator(".points path").count() == 4
    # by seconds: the axis is another one
    button = shown.locator("#weights .updatemenu-button", has_text="by seconds")
    button.click()
    assert shown.locator("#weights .xtitle").first.text_content() == "seconds"


def test_a_click_shows_a_picture_at_its_own_resolution(page: Path) -> None:
    with opened(page) as (browser, _):
        link = browser.locator("#weights td.cell a.shot").first
        target = link.get_attribute("href")
        link.click()
        assert target is not None
        assert browser.url.endswith(target)
        with Image.open(page.parent / target) as image:
            assert image.size == (32, 32)
            assert browser.locator("img").evaluate("image => image.naturalWidth") == image.width


def test_the_command_of_a_cell_is_one_click_away_and_exact(root: Path, page: Path) -> None:
    with opened(page) as (browser, _):
        cell = browser.locator("#texture_layers td.cell").nth(2)
        cell.locator("summary").click()
        command = cell.locator("code").inner_text()
        cell.locator("button").click()
        browser.wait_for_function(
            "/copied|selected/.test(document.querySelector('#texture_layers').innerText)"
        )
        picture = cell.locator("a.shot").get_attribute("href")
    words = shlex.split(command)
    assert words[0] == "nst"
    assert "layers=report" in words
    ended = nst(*words[1:], cwd=root)
    assert ended.returncode == 0, ended.stderr
    assert "already finished" in ended.stderr
    final = root / ended.stdout.strip() / "final.png"
    assert picture is not None
    assert (page.parent / picture).read_bytes() == final.read_bytes()


def test_the_command_of_a_table_is_exact(root: Path, shown: Page) -> None:
    details = shown.locator("#additional > details")
    details.locator("summary").click()
    words = shlex.split(details.locator("code").inner_text())
    before = {path: path.stat().st_mtime_ns for path in root.glob("outputs/runs/*/run.json")}
    ended = nst(*words[1:], cwd=root)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("already finished") == 3
    after = {path: path.stat().st_mtime_ns for path in root.glob("outputs/runs/*/run.json")}
    assert before == after


def test_numbers_and_markdown_lie_beside(page: Path, names: list[str]) -> None:
    with (page.parent / "numbers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["experiment"] for row in rows} == set(names)
    assert {row["status"] for row in rows} == {"completed"}
    for row in rows:
        if row["experiment"] == "weights":
            assert float(row["combined_distance"]) == pytest.approx(
                (1 + float(row["content_distance"])) * (1 + float(row["patch_distance"]))
            )
            assert row["weights"] in ("mild", "medium", "strong", "strong_content2")
    markdown = (page.parent / "report.md").read_text()
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", markdown)
    assert len(pictures) > 7 * len(names)
    assert all((page.parent / picture).is_file() for picture in pictures)
    for name in names:
        assert f"+experiments={name}" in markdown
    # tables are whole: every row of a table has as many cells as its head
    for block in re.findall(r"(?:^\|.*\n)+", markdown, re.M):
        assert len({line.replace("\\|", "").count("|") for line in block.splitlines()}) == 1, block


def test_blending_keeps_what_it_was_made_of(root: Path) -> None:
    for run in (root / "outputs/runs").glob("*_in_*"):
        names = {path.stem for path in (run / "inputs").iterdir()}
        assert names == {"source", "mask", "target", "paste", "content", "style"}
        with (
            Image.open(run / "inputs/content.png") as blend,
            Image.open(run / "final.png") as final,
        ):
            assert blend.size == final.size


@slow
def test_prints_on_pages_of_paper(page: Path, names: list[str], tmp_path: Path) -> None:
    with opened(page) as (browser, seen):
        browser.wait_for_function("document.querySelectorAll('.js-plotly-plot .xy').length > 7")
        pdf = browser.pdf(path=tmp_path / "report.pdf", format="A4")
        assert pdf.startswith(b"%PDF")
        assert len(re.findall(rb"/Type\s*/Page\b", pdf)) >= len(names) + 1  # and the claims
        browser.emulate_media(media="print")
        assert not browser.locator("summary").first.is_visible()
        assert seen.problems == []


def test_missing_failed_and_hostile(root: Path, tmp_path: Path, names: list[str]) -> None:
    """What is not there shows as such, and nothing from a name or a reason becomes markup."""
    shutil.copytree(root / "outputs", tmp_path / "outputs", symlinks=True)
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'|`"
    runs = {
        file.parents[1]: (file, json.loads(file.read_text()))
        for file in tmp_path.glob("outputs/runs/*/experiments/weights_grid-*.json")
    }
    places = {
        run: job.sweep.jobs.index(job.overrides)
        for run in runs
        for job in experiment_jobs.read(run)
        if job.experiment["name"] == "weights_grid"
    }
    ordered = sorted(runs, key=places.__getitem__)
    shutil.rmtree(ordered[0])
    facts = read_facts(ordered[1]) | {"status": "failed", "reason": hostile}
    (ordered[1] / "run.json").write_text(json.dumps(facts))
    for run in ordered[2:]:
        file, record = runs[run]
        record["experiment"] |= {"title": hostile, "about": hostile, "notes": [hostile]}
        record["experiment"]["labels"]["weights"]["mild"] = hostile
        record["experiment"]["claims"][0]["text"] = hostile
        record["asked"] += "Z"  # the newest declaration counts
        file.write_text(json.dumps(record))
    page = build(tmp_path / "outputs", known=[*names, "never_run"])
    with opened(page) as (browser, seen):
        browser.wait_for_function("document.querySelectorAll('.js-plotly-plot .xy').length > 7")
        cells = browser.locator("#weights_grid td.cell")
        assert "missing" in cells.nth(0).inner_text()
        assert cells.nth(1).locator(".empty.failed").inner_text() == f"failed: {hostile}"
        assert cells.nth(2).locator("img").count() == 1
        assert browser.locator("#weights_grid h2").inner_text().endswith(hostile)
        assert (
            "14 of 16 runs finished, 1 failed, 1 missing"
            in browser.locator("#weights_grid").inner_text()
        )
        assert "+experiments=never_run" in browser.locator("#missing").inner_text()
        assert browser.locator("img[src=x]").count() == 0
        assert seen.problems == []
    markdown = (page.parent / "report.md").read_text()
    assert "<script>" not in markdown
    assert "<img" not in markdown


def test_asking_again_computes_nothing(root: Path, names: list[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.glob("outputs/runs/*/run.json")}
    page = (root / "outputs/report/index.html").read_text()
    ended = nst_report("--run", *TINY, "two_noises", "blending", cwd=root)
    assert ended.returncode == 0, ended.stderr
    after = {path: path.stat().st_mtime_ns for path in root.glob("outputs/runs/*/run.json")}
    assert before == after
    again = () if names == ALL else names
    build(root / "outputs", again, ALL)
    made = (root / "outputs/report/index.html").read_text()
    ids = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")  # Plotly names its plots at random
    assert ids.sub("", made) == ids.sub("", page)
