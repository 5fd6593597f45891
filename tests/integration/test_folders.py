"""Sweeps over folders, patterns and tables of pairs, from the command line to the pages."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst.cli import report
from nst.cli.main import invoke
from nst.runner.record import read_config
from nst.sweeps import sweep_folder

pytestmark = pytest.mark.usefixtures("tiny_backbone")

TINY = (
    *("image.size=16", "steps=1", "logger=none", "init=noise"),
    *("layers.content=[conv1_2]", "layers.style=[conv1_1]"),
)
PHOTOS = ("[x] it's.png", "фото, ${steps}=1.png")
PAINTINGS = ('"a", \\b.png', "-new\nline.png")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of photos and one of paintings; both have odd names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["nst"])
    for place, names in (("photos [1]", PHOTOS), ("a, b", PAINTINGS)):
        Path(place).mkdir()
        for name in names:
            _picture(Path(place, name))
        Path(place, "notes.txt").touch()


def _picture(path: Path) -> None:
    seed = np.random.default_rng([*str(path).encode()])
    Image.fromarray(seed.integers(0, 255, (16, 20, 3), dtype=np.uint8)).save(path, format="PNG")


def _ended() -> list[tuple[Path, list[str]]]:
    """Run folder and overrides of each job of the last sweep; all completed."""
    folder = max(Path("outputs/sweeps").iterdir(), key=lambda each: each.stat().st_mtime_ns)
    outcomes = sweep_folder.outcomes(folder)
    assert {each.outcome for each in outcomes} <= set(sweep_folder.SUCCEEDED)
    folders = [each.folder for each in outcomes if each.folder]
    jobs = json.loads((folder / "jobs.json").read_text())["jobs"]
    return list(zip(folders, jobs, strict=True))


def _pair(folder: Path) -> tuple[str, str]:
    found = read_config(folder)
    return found["content"]["path"], found["style"]["path"]


def test_product_of_folders(capfd: pytest.CaptureFixture[str]) -> None:
    command = ["-m", *TINY, "content=photos [1]", "style=a, b/*.png"]
    assert invoke(command) == 0
    ended = _ended()
    assert [_pair(folder) for folder, _ in ended] == [
        (f"photos [1]/{photo}", f"a, b/{painting}") for photo in PHOTOS for painting in PAINTINGS
    ]
    times = {folder: (folder / "final.png").stat().st_mtime_ns for folder, _ in ended}
    # the same command computes nothing
    assert invoke(command) == 0
    assert [folder for folder, _ in _ended()] == [*times]
    # and so do the commands that the page shows, as a shell reads them
    assert report.report(["compare"]) == 0
    text = Path("outputs/compare/runs.js").read_text(encoding="utf-8")
    runs = json.loads(text[text.index("{") : text.rindex("}") + 1])["runs"]
    assert len(runs) == len(times)
    capfd.readouterr()
    for run in runs:
        assert invoke(shlex.split(run["command"])[1:]) == 0
        assert "already finished" in capfd.readouterr().err
    assert {folder: (folder / "final.png").stat().st_mtime_ns for folder, _ in ended} == times
    assert len([*Path("outputs/runs").iterdir()]) == len(times)


def test_one_match_is_a_single_run(capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke([*TINY, "content=photos*/[[]x*", "style=builtin:brick"]) == 0
    folder = Path(capfd.readouterr().out.splitlines()[-1])
    assert _pair(folder) == (f"photos [1]/{PHOTOS[0]}", "builtin:brick")


@pytest.mark.parametrize("launcher", ["basic", "vectorized"])
def test_pairs(launcher: str) -> None:
    """Rows times another value; a second sweep, in batches or not, computes nothing."""
    table = Path("photos [1]/my pairs.csv")
    table.write_text(
        f'\ufeffcontent,style,weights.style\r\n"{PHOTOS[1]}",waves,1e4\r\nblend,"../a, b/-*",\r\n',
        encoding="utf-8",
    )
    words = [*TINY, f"pairs={table}", "seed=0,1", f"hydra/launcher={launcher}"]
    assert invoke(["-m", *words]) == 0
    ended = _ended()
    first = (f"photos [1]/{PHOTOS[1]}", "builtin:waves")
    second = (None, f"photos [1]/../a, b/{PAINTINGS[1]}")
    assert [_pair(folder) for folder, _ in ended] == [first, first, second, second]
    found = [read_config(folder) for folder, _ in ended]
    assert [each["weights"]["style"] for each in found] == [1e4, 1e4, 1.5e5, 1.5e5]
    assert [each["seed"] for each in found] == [0, 1, 0, 1]
    for folder, job in ended:
        assert read_config(folder)["run"]["overrides"] == job
        assert not any(word.startswith("pairs") for word in job)
    assert invoke(["-m", *words]) == 0
    assert [folder for folder, _ in _ended()] == [folder for folder, _ in ended]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["content=photos [1]"], 'content.path="photos [1]/[x] it\'s.png"'),
        (["content=photos [1]"], ": 2 values make a sweep; use nst -m"),
        (["seed=0,1,2"], "seed=0,1,2: 3 values make a sweep; use nst -m"),
        (["-m", "content=photos [1]/*.jpg"], "content=photos [1]/*.jpg: no such file, and as a"),
        (["style=brik"], "style=brik: no such option or file (did you mean brick?); allowed: "),
        (["style=no/such.jpg"], "style=no/such.jpg: no such option or file; allowed: brick, "),
        (["-m", "style=brick,brik"], "style=brik: no such option or file (did you mean brick?)"),
        (["style=it's"], "style=it's: no such file, and the text cannot be parsed"),
        (["pairs=t.csv"], "pairs=t.csv: each row is a job of a sweep: nst -m, with hydra/sweeper="),
        (["-m", "pairs=no.csv"], "pairs=no.csv: no such file"),
        (
            ["-m", "pairs=t.csv", "style=waves"],
            "pairs=t.csv: its column style is set by style=waves",
        ),
        (["-m", "pairs=t.csv"], "pairs=t.csv: row 3: wieghts: no such key (did you mean weights?)"),
        (["-m", "hydra.sweeper.max_batch_size=1", "pairs=t.csv"], "pairs=t.csv: row 3: wieghts"),
    ],
)
def test_bad_input(words: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("t.csv").write_text("content,style,wieghts.style\ncoffee,brick,\ncoffee,waves,1\n")
    assert invoke([*TINY, *words]) == 2
    said = capfd.readouterr()
    (line,) = [each for each in said.err.splitlines() if each.startswith("nst: ")]
    assert message in line
    assert not Path("outputs").exists()


def test_pairs_of_another_sweeper(capfd: pytest.CaptureFixture[str]) -> None:
    Path("t.csv").write_text("content,style\ncoffee,brick\n")
    assert invoke(["-m", *TINY, "pairs=t.csv", "hydra/sweeper=basic"]) == 2
    assert "pairs=t.csv: each row is a job of a sweep" in capfd.readouterr().err
    # without a table it works as ever
    assert invoke(["-m", *TINY, "content=photos [1]", "hydra/sweeper=basic"]) == 0


def test_pairs_of_an_experiment(capfd: pytest.CaptureFixture[str]) -> None:
    """The table replaces the pairs of the experiment; the page has a command for each job."""
    Path("own/experiments").mkdir(parents=True)
    Path("own/experiments/own.yaml").write_text(
        "# @package _global_\n"
        "experiment: {name: own, section: '1', rows: [pair], columns: [seed]}\n"
        "hydra: {mode: MULTIRUN, sweeper: {params: {pair: 'none,rocket_waves', seed: '0'}}}\n"
    )
    Path("t.csv").write_text('content,style\n"photos [1]/[[]x*",brick\ncoffee,waves\n')
    words = ["--run", "own", *TINY, "pairs=t.csv", "--config-dir", "own"]
    assert report.report(words) == 0
    out, err = capfd.readouterr()
    assert "nst-report: 2 runs of 1 experiments" in err
    assert "2 completed" in err
    ended = _ended()
    assert [_pair(folder) for folder, _ in ended] == [
        (f"photos [1]/{PHOTOS[0]}", "builtin:brick"),
        ("builtin:coffee", "builtin:waves"),
    ]
    page = Path(out.splitlines()[-1]).with_name("report.md").read_text(encoding="utf-8")
    commands = [line.strip() for line in page.splitlines() if line.startswith("    nst ")]
    assert len(commands) == len(ended)
    for command, (_, job) in zip(commands, ended, strict=True):
        assert shlex.split(command)[1:] == [*job, "hydra.mode=RUN"]
