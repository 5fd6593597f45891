"""Figures for papers: text in LaTeX, the layout, the numbers, and the PDF."""

from __future__ import annotations

import importlib.util
import itertools
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pypdf import PdfReader

from nst.reports.claims import rounded, spread
from nst.reports.collect import Experiment, collect
from nst.reports.figures import latex, pdf, tex
from nst.reports.figures.layout import CM, COLUMN, GAP, LEAST, PAGE, Layout, arrange
from nst.reports.figures.make import Wanted, make
from nst.reports.figures.numbers import tables
from nst.utils.errors import ConfigError
from tests.latex import compiled, fonts_of, text_of
from tests.run_folders import write_run

Make = Callable[..., Experiment]
SIZE = 10, 15  # height and width, px
HOSTILE = r"50 % of a_b & c ~ #1 {x} \end $y$ ^ [z] -- <|> é × ± – α → “q” \\"
CLAIM = {
    "text": "So it is.",
    "kind": "best",
    "key": "key",
    "winners": ["a"],
    "measures": ["psnr", "patch_distance"],
}


@pytest.fixture
def made_up(tmp_path: Path) -> Make:
    """An experiment by the values that it sweeps; each run has its own picture and numbers."""

    def make_up(
        sweep: dict[str, list[str]], failed: tuple[str, ...] = (), **declared: Any
    ) -> Experiment:
        experiment = {"name": "made_up", "title": "Made up", "inputs": ["style"], **declared}
        values = itertools.product(*sweep.values())
        jobs = [[f"{key}={value}" for key, value in zip(sweep, row, strict=True)] for row in values]
        style = np.full((12, 12, 3), 99, np.uint8)
        for number, overrides in enumerate(jobs):
            if set(failed) & set(overrides):
                write_run(tmp_path, experiment, overrides, jobs, status="failed", reason="so")
                continue
            picture = np.full((*SIZE, 3), number % 250, np.uint8)
            numbers = {"psnr": 20 + number, "patch_distance": 1 + number / 7}
            write_run(
                tmp_path,
                experiment,
                overrides,
                jobs,
                image=picture,
                inputs={"style": style},
                measures=numbers,
                losses={"loss/total": 1234.5 + number},
            )
        return collect(tmp_path)["made_up"]

    return make_up


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        ("50 % of a_b & c", r"50 \% of a\_b \& c"),
        ("~ # $ ^ { } \\", r"{\textasciitilde} \# \$ {\textasciicircum} \{ \} {\textbackslash}"),
        ("[conv_1] | x", r"{[}conv\_1{]} \textbar{} x"),
        ("a--b---c-d", "a-{}-b-{}-{}-c-d"),
        ("± – ×", r"\ensuremath{\pm} {\textendash} \ensuremath{\times}"),
        ('the "best" one', r"the {\textquotedblleft}best{\textquotedblright} one"),
        ("α ≥ β → γ", r"\ensuremath{\alpha} \ensuremath{\geq} \ensuremath{\beta} "),
        ("naïve Müller, cafe\u0301", "naïve Müller, café"),
        ("猫 Привет", "猫 Привет"),
        ("two\nlines\t and\u200b more", "two lines and more"),
    ],
)
def test_text_in_latex(plain: str, expected: str) -> None:
    assert latex.text(plain).startswith(expected)


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        ("0.123", "$0.123$"),
        ("26.6 dB", "$26.6$~dB"),
        ("26.6 ± 0.3 dB", r"$26.6$ \mbox{$\pm\,0.3$}~dB"),
        ("1.2e-05 ± 3e-06", r"$1.2\times10^{-5}$ \mbox{$\pm\,3\times10^{-6}$}"),
    ],
)
def test_numbers_in_latex(plain: str, expected: str) -> None:
    assert latex.number(plain) == expected


def test_numbers_in_pdf() -> None:
    assert pdf.powers("1.2e-05 ± 3e+12") == "1.2×10⁻⁵ ± 3×10¹²"


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (0.012345, 3, "0.0123"),
        (4218.0, 3, "4220"),
        (110.0, 2, "110"),
        (-99.6, 2, "-100"),
        (99_960.0, 3, "1e+05"),
        (1.23e-5, 3, "1.23e-05"),
    ],
)
def test_numbers_have_no_exponent_that_is_not_needed(
    value: float, digits: int, expected: str
) -> None:
    assert rounded(value, digits) == expected


def headings(layout: Layout) -> list[list[str]]:
    return [[entry.heading for entry in line.entries] for line in layout.lines]


def test_a_single_row_is_broken_into_lines(made_up: Make) -> None:
    experiment = made_up({"key": list("abcde")}, columns=["key"])
    layout = arrange(experiment, ["loss"], COLUMN)
    assert headings(layout) == [["style", "a", "b"], ["c", "d", "e"]]
    assert headings(arrange(experiment, ["loss"], PAGE)) == [["style", *"abcde"]]
    assert layout.columns * (layout.cell + GAP) - GAP == pytest.approx(COLUMN)
    assert all(line.aspect == pytest.approx(10 / 15) for line in layout.lines)


def test_rows_and_columns_are_those_of_the_table(made_up: Make) -> None:
    experiment = made_up(
        {"row": ["r", "s"], "key": ["a", "b", "c"], "seed": ["0", "1"]},
        rows=["row"],
        columns=["key"],
        labels={"row": {"r": "the first"}},
    )
    layout = arrange(experiment, ["loss", "psnr"], COLUMN)
    assert headings(layout) == [["style"], ["a", "b", "c"], ["", "", ""]]
    assert [line.caption for line in layout.lines] == [(), ("the first",), ("s",)]
    first = layout.lines[1].entries[0]
    assert first.numbers == (
        ("loss", spread([1234.5, 1235.5])),
        ("PSNR", f"{spread([20, 21])} dB"),
    )
    assert layout.runs == (2, 2)
    assert layout.gutter > 0


def test_what_does_not_fit_says_what_does(made_up: Make) -> None:
    values = [f"v{number}" for number in range(16)]
    experiment = made_up({"row": ["r", "s"], "key": values}, rows=["row"], columns=["key"])
    with pytest.raises(ConfigError, match=r"16 columns; --width ([\d.]+)cm suffices") as error:
        arrange(experiment, [], COLUMN)
    assert error.match(r"smaller than 1 cm")
    width = float(str(error.value).partition("--width ")[2].partition("cm")[0])
    assert arrange(experiment, [], width * CM).cell >= LEAST
    with pytest.raises(ConfigError, match="16 columns"):
        arrange(experiment, [], (width - 0.2) * CM)


def test_what_fits_on_two_columns_says_so(made_up: Make) -> None:
    values = [f"v{number}" for number in range(10)]
    experiment = made_up({"row": ["r", "s"], "key": values}, rows=["row"], columns=["key"])
    with pytest.raises(ConfigError, match="--columns 2 suffices"):
        arrange(experiment, [], COLUMN)
    assert arrange(experiment, [], PAGE).cell >= LEAST


def test_more_rows_than_a_page_has(made_up: Make) -> None:
    rows = [f"r{number}" for number in range(26)]
    experiment = made_up({"row": rows, "key": ["a", "b"]}, rows=["row"], columns=["key"])
    with pytest.raises(ConfigError, match="too short for 27 rows; --only chooses"):
        arrange(experiment, ["loss", "psnr"], COLUMN)
    smaller = arrange(experiment, [], COLUMN)  # without numbers there is room for smaller pictures
    assert LEAST <= smaller.cell < COLUMN / 3


def test_a_table_of_numbers_alone(made_up: Make) -> None:
    experiment = made_up({"row": ["r", "s"], "key": ["a", "b"]}, rows=["row"], show=[])
    layout = arrange(experiment, ["loss"], COLUMN)
    assert not any(entry.shot for entry in layout.entries)
    assert [len(entry.numbers) for entry in layout.entries] == [1, 1, 1, 1]
    assert pdf.render(layout).startswith(b"%PDF")


def test_what_is_missing_is_marked_and_said(made_up: Make, tmp_path: Path) -> None:
    experiment = made_up({"key": ["a", "b", "c"]}, failed=("key=b",), columns=["key"])
    layout = arrange(experiment, ["loss"], COLUMN)
    assert [entry.note for entry in layout.entries] == ["", "", "failed", ""]
    made = make(experiment, wanted("pdf"), tmp_path / "figures")
    (remark,) = made.remarks
    assert remark.startswith("made_up: 1 of 3 runs not finished (b); to run what is missing: nst ")
    assert "failed" in text_of(made.files[0])
    nothing = replace(experiment, jobs=[experiment.jobs[1]])
    with pytest.raises(ConfigError, match="no run is finished; to run what is missing: nst "):
        make(nothing, wanted("pdf"), tmp_path)


def wanted(*formats: str, **only: list[str]) -> Wanted:
    return Wanted(formats, ["loss"], only, COLUMN, "nst-report figure made_up")


def test_only_chooses_rows_and_columns(made_up: Make, tmp_path: Path) -> None:
    experiment = made_up({"key": ["a", "b"], "seed": ["0", "1"]}, columns=["key"])
    made = make(experiment, wanted("pdf", key=["b"]), tmp_path)
    text = text_of(made.files[0])
    assert spread([1236.5, 1237.5]).replace(" ", "") in text.replace(" ", "").replace("\xa0", "")
    for only, problem in (
        ({"other": ["a"]}, "not a key of the sweep; allowed: key, seed"),
        ({"key": ["z"]}, "no run has this value; allowed: a, b"),
    ):
        with pytest.raises(ConfigError, match=problem):
            make(experiment, wanted("pdf", **only), tmp_path)


def test_the_numbers_are_those_of_the_report(made_up: Make) -> None:
    choice = {"text": "Which?", "key": "key", "measures": ["patch_distance"]}
    pair = {"text": "Alike.", "kind": "alike", "key": "seed", "measures": ["psnr"], "at_least": 9}
    experiment = made_up(
        {"key": ["a", "b", "c"], "seed": ["0", "1"]},
        columns=["key"],
        labels={"key": {"a": "the first"}},
        claims=[CLAIM, pair],
        choices=[choice],
    )
    compared, pairs = tables(experiment)
    assert compared.metrics == ["patch_distance", "psnr"]  # claims and choices make one table
    ((case, rows),) = compared.parts
    assert case == ""
    assert [row.caption for row in rows] == ["the first", "b", "c"]
    numbers = [[number.values for number in row.numbers if number] for row in rows]
    assert numbers[0] == [[1, 1 + 1 / 7], [20, 21]]
    assert numbers[2] == [[1 + 4 / 7, 1 + 5 / 7], [24, 25]]
    best = [[number.best for number in row.numbers if number] for row in rows]
    assert best == [[True, False], [False, False], [False, False]]
    assert compared.about == "2 blocks"
    assert pairs.about == "3 pairs"
    assert [row.caption for row in pairs.parts[0][1]] == ["between results"]


def test_an_incomplete_sweep_has_no_table(made_up: Make) -> None:
    experiment = made_up({"key": ["a", "b"]}, failed=("key=b",), columns=["key"], claims=[CLAIM])
    assert tables(experiment) == []


def test_the_pdf_is_as_publishers_want_it(made_up: Make, tmp_path: Path) -> None:
    labels = {"key": {"a": HOSTILE, "b": "Привет"}}
    experiment = made_up({"key": ["a", "b"]}, columns=["key"], labels=labels)
    first, again = (
        make(experiment, wanted("pdf"), tmp_path / place).files[0] for place in ("one", "two")
    )
    assert first.read_bytes() == again.read_bytes()
    (page,) = PdfReader(first).pages
    assert float(page.mediabox.width) == pytest.approx(8.3 / 2.54 * 72, abs=0.01)
    fonts = fonts_of(first)
    assert fonts
    assert set(fonts) == {("/CIDFontType2", True)}  # TrueType, embedded
    text = text_of(first)
    for word in (*HOSTILE.split(), "Привет"):
        assert word in text
    assert {image.image.size for image in page.images if image.image} == {(15, 10), (12, 12)}
    assert "/CreationDate" not in (PdfReader(first).metadata or {})


def test_letters_of_no_font_are_said(made_up: Make, tmp_path: Path) -> None:
    experiment = made_up({"key": ["a"]}, columns=["key"], labels={"key": {"a": "猫 and 犬"}})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = make(experiment, wanted("pdf"), tmp_path)
    assert made.remarks == [
        "made_up.pdf: no letter for 猫犬 in STIXGeneral and DejaVu Sans: declare other labels"
    ]


def test_latex_of_hostile_text(made_up: Make, tmp_path: Path) -> None:
    """It compiles, within its column, and shows what was declared."""
    experiment = made_up(
        {"row": ["r", "s"], "key": ["a", "b"], "seed": ["0", "1"]},
        title=HOSTILE,
        about=HOSTILE,
        notes=[HOSTILE],
        rows=["row"],
        columns=["key"],
        labels={"key": {"a": HOSTILE, "b": "[b]"}, "row": {"r": HOSTILE, "s": "initialisation"}},
        claims=[CLAIM],
    )
    (file,) = make(experiment, wanted("tex"), tmp_path / "figures").files
    text, log = compiled(file, tmp_path / "paper", r"\usepackage[T1]{fontenc}")
    assert "undefined" not in log
    for word in ("50 %", "a_b", "#1", "{x}", "$y$", "[z]"):
        assert word in text
    assert "[b]" in text
    assert "LaTeX Warning" not in log


def test_pictures_have_names_of_their_own(made_up: Make, tmp_path: Path) -> None:
    labels = {"key": {"a": "same", "b": "same", "c": "猫"}}
    experiment = made_up({"key": ["a", "b", "c"]}, columns=["key"], labels=labels)
    make(experiment, wanted("tex"), tmp_path)
    names = {path.name for path in (tmp_path / "made_up").iterdir()}
    assert names == {"style.png", "same.png", "same_2.png", "picture.png"}
    assert "XeLaTeX" in (tmp_path / "made_up.tex").read_text().splitlines()[1]


@pytest.mark.parametrize(("package", "format_"), [("matplotlib", "pdf"), ("pylatexenc", "tex")])
def test_without_the_extra(
    made_up: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, format_: str
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else found(name)
    )
    experiment = made_up({"key": ["a"]}, columns=["key"])
    with pytest.raises(ConfigError, match=rf"--format={format_}: .*'nst\[figures\]'"):
        make(experiment, wanted(format_), tmp_path / "figures")
    assert not (tmp_path / "figures").exists()


def test_a_mark_for_metrics_that_runs_minimise(made_up: Make) -> None:
    experiment = made_up({"key": ["a", "b"]}, columns=["key"], claims=[CLAIM])
    layout = arrange(experiment, [], COLUMN)
    found = tex.render(experiment.config, layout, tables(experiment), "nst-report")
    assert r"\dagger" not in found.text
    assert r"PSNR (dB) $\uparrow$ & \shortstack{patch\\distance $\downarrow$}" in found.text
