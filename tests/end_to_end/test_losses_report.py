"""The report on losses: choices, curves and limits, on a page of its own."""

from __future__ import annotations

import csv
import html
import re
from pathlib import Path

import pytest

from tests.browser import opened
from tests.helpers import nst, nst_report

TINY = ("image.size=32", "steps=2", "snapshot_every=2", "seed=0,1", "logger=none")
FEW = ("pair=astronaut_brushstrokes,chelsea_waves", "style_loss=gram,nearest,cross")
PAGE = Path("outputs/report/losses/index.html")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("losses")
    words = ("--run", "--report", "losses", "style_losses", "hydra/launcher=vectorized")
    ended = nst_report(*words, *TINY, *FEW, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == str(PAGE)
    return folder


def test_the_page_says_what_to_choose_and_within_which_limits(root: Path) -> None:
    text = html.unescape((root / PAGE).read_text())
    choices = text[text.index('id="choices"') : text.index('id="style_losses"')]
    for expected in ("Closest to the style at equal content", "patch distance", "blocks"):
        assert expected in choices
    assert "minimised, or nearly so, by Gram" in choices  # the Gram distance
    found = text[text.index('id="limits"') : text.index('id="metrics"')]
    for expected in ("vgg19", "<dd>32</dd>", "astronaut, chelsea", "brushstrokes, waves", "0, 1"):
        assert expected in found
    markdown = (root / PAGE).with_name("report.md").read_text()
    assert "## Which to choose" in markdown
    assert "## Limits" in markdown
    rows = list(csv.DictReader((root / PAGE).with_name("numbers.csv").open()))
    assert len(rows) == 2 * 3 * 3 * 2
    assert all(float(row["spectrum_distance"]) > 0 for row in rows)


def test_curves_have_a_line_for_each_loss_with_bars(root: Path) -> None:
    with opened(root / PAGE) as (browser, seen):
        browser.wait_for_function("document.querySelectorAll('.js-plotly-plot .xy').length > 3")
        for plot in browser.locator("#style_losses .js-plotly-plot").all()[1:]:
            assert plot.locator("g.trace").count() == 3
            assert plot.locator(".errorbar").count() == 9
        assert seen.problems == []


def test_the_main_report_does_not_show_it(root: Path) -> None:
    ended = nst_report(cwd=root)
    assert ended.returncode == 1
    assert "there are runs of other reports (--report NAME): losses" in ended.stderr
    ended = nst_report("--report", "all", cwd=root)
    assert ended.returncode == 0, ended.stderr
    page = (root / ended.stdout.splitlines()[-1]).read_text()
    assert 'id="style_losses"' in page
    assert re.search("<code>nst \\+experiments=weights</code>", page)  # not run yet


def test_unknown_reports_are_refused(tmp_path: Path) -> None:
    ended = nst_report("--run", "--report", "loses", cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "nst-report: --report=loses: no such report; allowed: main, control, pictures, losses, all"
    ]


def test_wrong_questions_are_refused_before_anything_runs(tmp_path: Path) -> None:
    for wrong, expected in (
        (
            "experiment.choices=[{key: seed, measures: [ssim], text: Q, at_equal: nothing}]",
            "at_equal",
        ),
        ("experiment.choices=[{key: seed, measures: [ssim], text: Q, at_equal: psnr}]", "along"),
        ("experiment.choices=[{key: seed, measures: [], text: Q}]", "measures"),
        ("experiment.report=all", "experiment.report"),
    ):
        ended = nst(wrong, *TINY[:3], "logger=none", cwd=tmp_path)
        assert ended.returncode == 2
        assert expected in ended.stderr
        assert not (tmp_path / "outputs").exists()
