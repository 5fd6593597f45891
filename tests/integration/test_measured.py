"""Measured pictures: their metrics, their records, and what shows them beside runs."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from nst.cli import report
from nst.cli.main import invoke
from nst.compare.select import entries, select
from nst.metrics.quality import Metrics
from nst.reports import measured
from nst.runner.folder import place
from nst.runner.record import RunRecord, read_facts
from tests.helpers import tiny

pytestmark = pytest.mark.usefixtures("tiny_backbone")

TINY = ("image.size=32", "steps=1", "logger=none", "init=noise")
BOTH = ("--content", "photo.png", "--style", "builtin:waves")
NAME = "made by (me) é"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A content picture, 48x32 px, and a folder for results."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["nst"])
    picture("photo.png", (48, 32), 0)
    Path("results").mkdir()


def picture(name: str | Path, size: tuple[int, int] = (48, 32), seed: int = 1) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(name)
    return Path(name)


def measure(*arguments: str, folder: str = "results") -> int:
    return report.report(["measure", folder, *arguments])


def records(*, program: bool = True) -> list[RunRecord]:
    """Of measured pictures, or of runs."""
    found = map(RunRecord, sorted(Path("outputs/runs").iterdir()))
    return [record for record in found if record.measured == program]


def run(*overrides: str) -> RunRecord:
    """A new run."""
    before = set(Path("outputs/runs").glob("*"))
    pair = ("content.path=photo.png", "style.path=builtin:waves")
    assert invoke([*TINY, *pair, *overrides]) == 0
    (folder,) = set(Path("outputs/runs").glob("*")) - before
    return RunRecord(folder)


def stamps() -> dict[Path, int]:
    paths = [path for path in Path("outputs").rglob("*") if path.name != ".lease"]
    return {path: path.stat().st_mtime_ns for path in paths if path.is_file() and path.suffix}


def test_a_result_of_nst_has_the_metrics_of_its_run() -> None:
    own = run()
    shutil.copy(own.folder / "final.png", "results/a result.png")
    shutil.copy("photo.png", "renamed.png")
    assert measure("--content", "renamed.png", "--style", "builtin:waves") == 0
    (found,) = records()
    assert found.measures == own.measures
    assert {"ssim", "gram_distance", "combined_distance"} <= found.measures.keys()
    for name in ("final.png", "inputs/content.png", "inputs/style.png"):
        assert (found.folder / name).read_bytes() == (own.folder / name).read_bytes()
    files = {path.name for path in found.folder.rglob("*") if path.suffix}
    assert files == {"config.yaml", "run.json", "final.png", "content.png", "style.png"}
    assert not (found.folder / "snapshots").exists()
    assert (found.status, found.program, own.program) == ("completed", "results", "nst")
    assert yaml.safe_load((found.folder / "config.yaml").read_text()) == {
        "program": "results",
        "picture": "a result.png",
        "content": {"path": "renamed.png"},
        "style": {"path": "builtin:waves"},
    }
    assert found.facts["backbone"] == "vgg19"
    assert found.facts["weights_sha256"] == tiny().sha256
    for fact in ("device", "packages", "inputs_sha256"):
        assert found.facts[fact] == own.facts[fact]
    assert found.folder.name == f"results-a_result-{found.facts['signature']}"


def test_the_same_command_computes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    picture("results/b.png", seed=2)
    picture("results/a.png", seed=1)
    assert measure(*BOTH) == 0
    said = capsys.readouterr()
    assert said.err == "nst-report: pictures: 2 measured\n"
    names = [re.sub(r"-[0-9a-f]{10}$", "", line) for line in said.out.splitlines()]
    assert names == ["outputs/runs/results-a", "outputs/runs/results-b"]
    before = stamps()
    with monkeypatch.context() as patch:
        patch.setattr(Metrics, "measure", lambda *_: pytest.fail("measured again"))
        assert measure(*BOTH) == 0
    again = capsys.readouterr()
    assert (again.out, again.err) == (said.out, "nst-report: pictures: 2 measured before\n")
    assert stamps() == before
    # what the signature is of: the pixels, both inputs, the program
    shutil.copy("results/a.png", "results/copy.png")
    assert measure(*BOTH) == 0
    assert len(records()) == 2
    picture("other.png", seed=3)
    for arguments in (
        (*BOTH, "--name", "x"),
        ("--content", "other.png", "--style", "builtin:waves"),
        ("--content", "photo.png", "--style", "other.png"),
        ("--style", "builtin:waves"),
    ):
        count = len(records())
        assert measure(*arguments) == 0
        assert len(records()) == count + 2, arguments


@pytest.mark.parametrize("name", ["content", "style"])
def test_one_input_gives_its_own_metrics(name: str) -> None:
    picture("results/a.png")
    assert measure(f"--{name}", "photo.png") == 0
    (found,) = records()
    assert ("ssim" in found.measures) == (name == "content")
    assert ("gram_distance" in found.measures) == (name == "style")
    assert "combined_distance" not in found.measures
    assert [*found.inputs] == [name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("results",), "give --content, --style or both: the metrics compare the pictures with"),
        (("nothing", *BOTH), "FOLDER=nothing: no such folder"),
        (("photo.png", *BOTH), "FOLDER=photo.png: no such folder"),
        (("results", *BOTH), "FOLDER=results: has no picture: JPEG, PNG, WebP"),
        (("results", "--content", "no.png"), "--content=no.png: no such file; give a picture"),
        (("results", "--style", "builtin:x"), "--style=builtin:x: no such built-in picture"),
        (("results", *BOTH, "--name", " "), "--name= : give the name of the program"),
        (("/", *BOTH), "--name=: give the name of the program"),
    ],
)
def test_bad_input(
    arguments: Sequence[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report.report(["measure", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith(f"nst-report: {message}")
    assert len(said.splitlines()) == 1
    assert not Path("outputs").exists()


def test_what_cannot_be_measured_does_not_stop_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    Path("results/notes.txt").write_text("no picture")
    Path("results/.hidden").write_text("no picture")
    Path("results/sub.png").mkdir()
    Path("results/cut\nshort.png").write_bytes(Path("photo.png").read_bytes()[:99])
    picture("results/a tall.png", (32, 48))
    picture("results/z larger.webp", (96, 64))
    picture("results/z rounded.png", (7, 5))  # 7.5 px would be the shape
    picture("results/z square.png", (32, 32))
    picture("results/z stretched.png", (104, 64))
    assert measure(*BOTH) == 1
    said = capsys.readouterr().err.splitlines()
    size = "is not the shape of the content photo, 48x32 px"
    assert [line.removeprefix("nst-report: ") for line in said if "warning" not in line] == [
        f"skipped: results/a tall.png: 32x48 px {size}",
        f"skipped: results/z square.png: 32x32 px {size}",
        f"skipped: results/z stretched.png: 104x64 px {size}",
        "pictures: 2 measured, 3 skipped",
    ]
    warnings = [line.removeprefix("nst-report: warning: ") for line in said if "warning" in line]
    assert [line.partition(": ")[0] for line in warnings] == [
        r"results/cut\nshort.png",
        "results/notes.txt",
    ]
    assert [record.config["picture"] for record in records()] == ["z larger.webp", "z rounded.png"]
    # without a content any shape will do, and what cannot be read is no failure
    assert measure("--style", "photo.png") == 0


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EACCES])
def test_a_disk_error_ends_the_command(
    error: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (1, 2):
        picture(f"results/{seed}.png", seed=seed)

    def full(*_: Any) -> None:
        raise OSError(error, "So it is", "outputs/final.png")

    with monkeypatch.context() as patch:
        patch.setattr("nst.runner.folder.save_png", full)
        assert measure(*BOTH) == 1
    assert capsys.readouterr().err.startswith("nst-report: outputs/final.png: so it is; ")
    assert [record.status for record in records()] == ["running"]
    with monkeypatch.context() as patch:
        patch.setattr(Metrics, "measure", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert measure(*BOTH) == 130
    assert measure(*BOTH) == 0
    assert [record.status for record in records()] == ["completed"] * 2


def test_names_with_any_character(capfd: pytest.CaptureFixture[str]) -> None:
    strange = os.fsdecode(b"caf\xe9 \xf0\x9f\x8e\xa8")
    Path(strange).mkdir()
    for seed, name in enumerate(("фото.png", "[x] it's.png", f"{strange}.png", "a: b, ${c}.png")):
        picture(f"{strange}/{name}", seed=seed)
    shutil.copy("photo.png", f"{strange} photo.png")
    assert measure("--content", f"{strange} photo.png", "--style", "photo.png", folder=strange) == 0
    found = {record.config["picture"]: record for record in records()}
    assert {*found} == {"фото.png", "[x] it's.png", "caf\\xe9 🎨.png", "a: b, ${c}.png"}
    for record in found.values():
        assert re.fullmatch(r"[A-Za-z0-9_-]+", record.folder.name)
        assert record.program == record.config["program"] == "caf\\xe9 🎨"
        assert record.config["content"]["path"] == "caf\\xe9 🎨 photo.png"
    assert found["фото.png"].folder.name.startswith("caf_xe9-")
    assert measure(*BOTH, "--name", "写真", folder=strange) == 0
    assert any(record.folder.name.startswith("measured-") for record in records())
    assert report.report(["compare", "program=caf*"]) == 0
    assert report.report(["report"]) == 0
    out = capfd.readouterr().out.splitlines()
    assert out[-2:] == ["outputs/compare/index.html", "outputs/report/index.html"]


def page_data() -> dict[str, Any]:
    text = Path("outputs/compare/runs.js").read_text()
    found: dict[str, Any] = json.loads(text.removeprefix("nstRuns(").removesuffix(");\n"))
    return found


def test_the_comparison_page_has_no_settings_of_a_measured_picture() -> None:
    run("style_loss=moments")
    run("style_loss=gram")
    picture("results/a.png")
    assert measure(*BOTH, "--name", NAME) == 0
    found = entries(Path("outputs"))
    for words, count in (
        ([f"program={NAME}"], 1),
        (["program=made*", "picture=a.png", "psnr<99", "status=completed"], 1),
        (["program=nst"], 2),
        (["style_loss=gram"], 1),
        (["content.path=photo.png", "style=waves"], 3),
    ):
        assert len(select(found, words)) == count, words
    assert report.report(["compare"]) == 0
    data = page_data()
    assert data["keys"] == ["style_loss", "program", "picture"]
    (own,) = (each for each in data["runs"] if each["measured"])
    assert own["command"] is None
    assert own["curves"] == {}
    assert [Path(file).name for file in own["filmstrip"]["files"]] == ["final.png"]
    assert {*own["inputs"]} == {"content", "style"}
    facts = own["facts"]
    assert facts["label"] == f"program={NAME} picture=a.png"
    assert not {"style_loss", "style_loss.name", "weights.tv", "seed", "init"} & facts.keys()
    ours = [each["facts"]["label"] for each in data["runs"] if not each["measured"]]
    assert ours == ["style_loss=moments program=nst", "style_loss=gram program=nst"]
    # by themselves
    assert report.report(["compare", f"program={NAME}"]) == 0
    data = page_data()
    assert data["keys"] == []
    assert {"program", "picture", "content.path", "style.path"} == set(data["settings"])


def test_the_report_shows_them_beside_the_runs_of_the_same_pair(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copy("photo.png", "renamed.png")
    runs = [run(f"seed={seed}", "content.path=renamed.png") for seed in range(2)]
    runs.append(run("seed=2"))
    smaller = run("image.size=24")
    run("style.path=builtin:mosaic")
    run("content.path=builtin:coffee")
    run("task=texture_synthesis")
    older = json.loads((runs[2].folder / "run.json").read_text())
    del older["inputs_sha256"], older["sha256"]
    (runs[2].folder / "run.json").write_text(json.dumps(older))
    names = [f"{'x' * 40}{seed} | <b>.png" for seed in range(1, 5)]  # a folder's has 32 characters
    for seed, name in enumerate(names, 1):
        picture(f"results/{name}", seed=seed)
    assert measure(*BOTH, "--name", NAME) == 0
    assert measure("--style", "builtin:waves", "--name", NAME) == 0
    monkeypatch.setattr(measured, "MOST", 3)
    (pair, single) = measured.collect(Path("outputs"))
    assert pair.names == {"content": "photo.png", "style": "waves"}
    assert [each.config["picture"] for each in pair.pictures] == names
    combined = {
        record.folder: record.measures["combined_distance"]
        for record in map(RunRecord, (each.folder for each in (*runs, smaller)))
    }
    assert [each.folder for each in pair.runs] == sorted(combined, key=combined.__getitem__)[:3]
    assert pair.more == 1
    assert single.names == {"style": "waves"}
    (texture,) = single.runs
    assert texture.config["task"] == "texture_synthesis"

    assert report.report(["report"]) == 0
    html = Path("outputs/report/index.html").read_text()
    section = html.partition('<section id="measured-pictures"')[2].partition("</section>")[0]
    assert section.count("<tr>") == (1 + 4 + 3) + (1 + 4 + 1)
    assert "1 more run of nst" in section
    assert "1 | &lt;b&gt;.png" in section
    assert '<a href="#metric-combined_distance">combined distance</a>' in section
    assert '<dt id="metric-combined_distance">' in html
    assert section.count("<figcaption>image.size=") == 3  # how the runs differ
    shown = set(re.findall(r'<img src="([^"]+)"', section))
    assert len(shown) == 2 + 4 + 3 + 1  # equal ones once
    assert all((Path("outputs/report") / each).is_file() for each in shown)
    best = min(combined.values())
    assert f"<strong>{best:.3g}</strong>" in section
    markdown = Path("outputs/report/report.md").read_text()
    assert f"**{best:.3g}**" in markdown
    for block in re.findall(r"(?:^\|.*\n)+", markdown, re.M):
        assert len({line.replace("\\|", "").count("|") for line in block.splitlines()}) == 1, block
    with Path("outputs/report/numbers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["experiment"] for row in rows} == {"measured"}
    assert [row["program"] for row in rows] == [NAME] * 4 + ["nst"] * 3 + [NAME] * 4 + ["nst"]
    for row in rows[:4]:
        own = RunRecord(Path("outputs/runs") / row["folder"])
        assert (row["picture"], row["content"]) == (own.config["picture"], "photo.png")
        assert float(row["gram_distance"]) == own.measures["gram_distance"]


def test_a_page_of_experiments_is_as_before_without_measured_pictures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run()
    assert report.report(["report"]) == 1
    assert "no run of an experiment" in capsys.readouterr().err
    picture("results/a.png")
    assert measure(*BOTH) == 0
    assert report.report(["report", "weights"]) == 1
    assert report.report(["report", "--report", "losses"]) == 1
    assert report.report(["report"]) == 0
    for (path,) in (Path("outputs/runs").glob("results-*"),):
        shutil.rmtree(path)
    assert invoke(["-m", *TINY, "+experiments=two_noises", "seed=0"]) == 0
    assert report.report(["report"]) == 0
    assert "easured pictures" not in Path("outputs/report/index.html").read_text()


def test_runs_and_sweeps_pass_over_them(capsys: pytest.CaptureFixture[str]) -> None:
    own = run()
    shutil.copy(own.folder / "final.png", f"results/{own.facts['signature']}.png")
    assert measure(*BOTH) == 0
    pair = ("content.path=photo.png", "style.path=builtin:waves")
    capsys.readouterr()
    assert invoke(["-m", *TINY, *pair, "seed=0,1"]) == 0
    said = capsys.readouterr()
    assert "sweep: 1 finished before, 1 completed" in said.err
    assert str(own.folder) in said.out.splitlines()
    assert len(records()) == 1
    assert len(records(program=False)) == 2
    assert invoke(["-m", *TINY, *pair, "seed=0,1", "retry=failed"]) == 0
    assert read_facts(own.folder)["measures"] == own.measures


def test_a_name_that_is_a_signature_is_no_run_with_it() -> None:
    """Where the signature of the measured picture happens to be a number."""
    folder = Path("outputs/runs/results-0123abcdef-1234567890")
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"status": "completed", "program": "results"}))
    picture(folder / "final.png")
    runs = Path("outputs/runs")
    assert place(runs, "label", "0123abcdef", force=False).name == "label-0123abcdef"
    again = runs / "label-0123abcdef-12"
    again.mkdir()
    assert place(runs, "label", "0123abcdef", force=False) == again
