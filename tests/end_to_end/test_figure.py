"""``nst-report figure`` on tiny runs: files, messages, and a paper that is compiled with them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from pypdf import PdfReader

from nst.reports.claims import spread
from nst.reports.collect import collect
from nst.reports.figures.pdf import powers
from nst.runner.record import RunRecord
from tests.helpers import nst_report
from tests.latex import compiled, fonts_of, text_of

TINY = ("image.size=32", "steps=2", "snapshot_every=2", "seed=0,1", "logger=none")
FILES = ["outputs/figures/weights.pdf", "outputs/figures/weights.tex"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight runs of ``weights`` and their figure, by one command."""
    folder = tmp_path_factory.mktemp("figure")
    words = ("figure", "--run", "weights", "hydra/launcher=vectorized", *TINY)
    ended = nst_report(*words, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-2:] == FILES
    assert "not finished" not in ended.stderr
    return folder


def test_the_pdf(root: Path) -> None:
    file = root / FILES[0]
    (page,) = PdfReader(file).pages
    assert float(page.mediabox.width) == pytest.approx(8.3 / 2.54 * 72, abs=0.01)
    assert set(fonts_of(file)) == {("/CIDFontType2", True)}
    text = text_of(file).replace("\xa0", " ")
    experiment = collect(root / "outputs")["weights"]
    for jobs in experiment.groups(["weights"]).values():
        assert experiment.caption(jobs[0], ["weights"]) in text
        losses = [job.run.measure("loss") for job in jobs if job.run]
        assert f"loss {powers(spread([loss for loss in losses if loss is not None]))}" in text
    assert len(page.images) == 6  # content, style and four results
    assert {image.image.size for image in page.images if image.image} == {(32, 32)}


def test_the_paper(root: Path, tmp_path: Path) -> None:
    text, log = compiled(root / FILES[1], tmp_path / "paper")
    assert "LaTeX Warning" not in log
    assert "Overfull" not in log
    assert "Hyperparameter tuning. One photo in one style" in text
    assert "30 % noise" in text
    assert "style 1e4, content 1" in text
    assert "2 blocks" in text
    pdf = tmp_path / "paper" / "paper.pdf"
    assert {kind for kind, _ in fonts_of(pdf)} == {"/Type1"}


def test_the_numbers_are_those_of_the_runs(root: Path) -> None:
    tex = (root / FILES[1]).read_text()
    experiment = collect(root / "outputs")["weights"]
    for jobs in experiment.groups(["weights"]).values():
        found = [job.run.measure("patch_distance") for job in jobs if job.run]
        value, half = spread([each for each in found if each is not None]).split(" ± ")
        assert rf"${value}$ \mbox{{$\pm\,{half}$}}" in tex


def test_the_pictures_are_the_results(root: Path) -> None:
    folder = root / "outputs/figures/weights"
    tex = (root / FILES[1]).read_text()
    named = re.findall(r"\\includegraphics\[[^]]*\]\{weights/([^}]+)\}", tex)
    assert sorted(named) == sorted(path.name for path in folder.iterdir())
    results = {path.read_bytes() for path in root.glob("outputs/runs/*/final.png")}
    copies = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len([name for name, content in copies.items() if content in results]) == 4
    with Image.open(folder / "content.png") as image:
        assert image.size == (32, 32)


def test_once_more_gives_the_same_bytes(root: Path) -> None:
    before = {path: path.read_bytes() for path in root.glob("outputs/figures/**/*.*")}
    ended = nst_report(
        "figure", "weights", "--output", "again", cwd=root, PYTHONHASHSEED="7", TZ="Asia/Tokyo"
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["again/weights.pdf", "again/weights.tex"]
    assert (root / "again/weights.pdf").read_bytes() == before[root / FILES[0]]
    ended = nst_report("figure", "weights", "--format", "pdf", cwd=root)
    assert ended.stdout.splitlines() == FILES[:1]
    after = {path: path.read_bytes() for path in root.glob("outputs/figures/**/*.*")}
    assert before == after


def test_two_columns_of_a_page(root: Path, tmp_path: Path) -> None:
    words = ("--columns", "2", "--metrics", "gram_distance,ssim", "--output", str(tmp_path))
    ended = nst_report("figure", "weights", *words, cwd=root)
    assert ended.returncode == 0, ended.stderr
    (page,) = PdfReader(tmp_path / "weights.pdf").pages
    assert float(page.mediabox.width) == pytest.approx(17.4 / 2.54 * 72, abs=0.01)
    assert text_of(tmp_path / "weights.pdf").count("Gram distance") == 4
    assert r"\begin{figure*}" in (tmp_path / "weights.tex").read_text()


def test_what_is_missing(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "outputs", tmp_path / "outputs", symlinks=True)
    runs = [RunRecord(folder) for folder in sorted(tmp_path.glob("outputs/runs/*"))]
    strong = [run for run in runs if run.settings["weights.style"] == 1e6]
    shutil.rmtree(strong[0].folder)
    ended = nst_report("figure", "weights", "--format", "pdf", cwd=tmp_path)
    assert ended.returncode == 0
    (line,) = ended.stderr.splitlines()
    assert line.startswith("nst-report: weights: 1 of 8 runs not finished (style 1e6, content ")
    assert "to run what is missing: nst +experiments=weights" in line
    assert "image.size=32" in line
    for run in runs:
        if run.folder.exists():
            (run.folder / "run.json").write_text(json.dumps({"status": "running"}))
    ended = nst_report("figure", "weights", cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith("nst-report: experiment=weights: no run is finished")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("wieghts",), "experiment=wieghts: no such experiment; allowed: content_reconstruction, "),
        (("seed=0",), "experiment=null: needs a name; allowed: "),
        (("blending",), "experiment=blending: no run in outputs/runs; nst-report figure --run "),
        (("weights", "seed=0"), "override=seed=0: overrides are for --run"),
        (("weights", "--format", "pdf,svg"), "--format=svg: no such format; allowed: pdf, tex"),
        (("weights", "--width", "8"), "--width=8: must be a number and a unit (cm, mm, in, pt)"),
        (("weights", "--width", "1mm"), "--width=1mm: must be"),
        (("weights", "--metrics", "best"), "--metrics=best: no finished run has this metric; "),
        (("weights", "--only", "weights=x"), "--only weights=x: no run has this value; allowed: "),
        (("weights", "--only", "weights"), "--only=weights: must be KEY=VALUE,…"),
    ],
)
def test_bad_input(root: Path, words: tuple[str, ...], problem: str) -> None:
    ended = nst_report("figure", *words, cwd=root)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"nst-report: {problem}")
