"""Experiment files: each is a valid declaration, and a new one needs no code."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from nst.config.compose import conf_dir
from nst.config.experiment import MAIN
from nst.config.schema import Config
from nst.reports.page import build
from nst.sweeps.job_list import expected_jobs
from tests import commands
from tests.helpers import config, nst, nst_report, slow

FILES = sorted((Path(conf_dir()) / "experiments").glob("*.yaml"))
TINY = ("image.size=32", "steps=2", "snapshot_every=2", "logger=none")


def jobs(name: str, *overrides: str) -> list[list[str]]:
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        composed = GlobalHydra.instance().hydra.compose_config(  # type: ignore[union-attr]
            "config", [f"+experiments={name}", *overrides], run_mode=RunMode.MULTIRUN
        )
    return expected_jobs(composed)


def composed(name: str, job: list[str]) -> Config:
    return config(*job, "hydra.mode=RUN")


def test_the_tables_of_the_reports() -> None:
    declared = [yaml.safe_load(path.read_text())["experiment"] for path in FILES]
    sections: dict[str, list[str]] = {}
    for node in declared:
        sections.setdefault(node.get("report", MAIN), []).append(node["section"])
    assert {report: sorted(own) for report, own in sections.items()} == {
        "main": ["1.1", "1.2", "2", "3.1", "3.2", "3.3", "3.4", "4"],
        "losses": ["L1", "L2.1", "L2.2", "L3", "L4"],
        "control": ["C1", "C2", "C3", "C4"],
        "pictures": ["G1"],
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_declaration_fits_its_sweep(path: Path) -> None:
    node = yaml.safe_load(path.read_text())
    swept = {
        key: str(values).replace("],[", "]|[").split("|" if "[" in str(values) else ",")
        for key, values in node["hydra"]["sweeper"]["params"].items()
    }
    declared = node["experiment"]
    assert declared["name"] == path.stem
    keys = [*declared.get("rows", []), *declared.get("columns", [])]
    assert set(keys) <= set(swept)
    assert set(swept) <= {*keys, "seed"}
    for key, captions in declared.get("labels", {}).items():
        assert list(captions) == swept[key]  # every value has a caption, in order
    for claim in [*declared.get("claims", []), *declared.get("choices", [])]:
        assert claim.get("kind") == "setting" or claim["key"] in swept
        for names in ("winners", "against"):
            assert set(claim.get(names, [])) <= set(swept.get(claim["key"], []))
        for key in (claim.get("along"), claim.get("each"), *claim.get("average", [])):
            assert not key or key in swept
        for key, value in claim.get("only", {}).items():
            assert value in swept[key]
    count = 1
    for values in swept.values():
        count *= len(values)
    listed = jobs(path.stem)
    assert len(listed) == len({tuple(job) for job in listed}) == count
    for job in (listed[0], listed[-1]):
        assert composed(path.stem, job).experiment.name == path.stem


def test_every_sentence_of_the_report_is_claimed() -> None:
    claimed = " ".join(
        claim["text"].lower()
        for path in FILES
        for claim in yaml.safe_load(path.read_text())["experiment"].get("claims", [])
    )
    for sentence in (
        "as the reconstruction comes from deeper layers it becomes noisy.",
        "more noise can be seen in the reconstructed image.",
        "texture synthesis varies a lot with the use of different layers for reconstruction.",
        "i found that conv_layers 1, 2, 5, 9, 13 gives the best result.",
        "the style loss is also normalized with the number of feature layers used to calculate",
        "best results with style_weight = 1000000 and content_weight = 1.",
        "result differs for combinations of content loss and style loss parameters.",
        "style_weight = 1000000 and content_weight = 1 or 2 seems to give the best output.",
        "style loss is normalized with respect to number of terms in gram matrix and number of",
        "content initialization seems to give better looking results.",
    ):
        assert sentence in claimed


def test_layers_of_the_report() -> None:
    """The report counts convolutions; its layers 15 to 19 are 15 and 16, for there are no more."""
    contents = [composed("", job).layers.content for job in jobs("content_reconstruction")[::3]]
    assert contents == [
        [name] for name in ["conv1_1", "conv2_1", "conv2_2", "conv3_1", "conv4_2", "conv5_1"]
    ]
    styles = [composed("", job).layers.style for job in jobs("texture_layers")[::3]]
    assert styles == [
        ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"],
        ["conv1_1", "conv3_2", "conv5_2"],
        ["conv1_1", "conv1_2", "conv3_1", "conv4_1", "conv5_1"],
        ["conv5_3", "conv5_4"],
    ]
    (caption,) = yaml.safe_load(
        FILES[[path.stem for path in FILES].index("texture_layers")].read_text()
    )["experiment"]["notes"]
    assert "15 and 16" in caption


def test_own_pictures_seeds_and_size_by_override() -> None:
    own = ["content.path=a.jpg", "seed=4,5", "image.size=64"]
    for path in FILES:
        if path.stem == "blending":
            continue
        styles: str | list[str] = ["b.jpg", "c.jpg"] if path.stem == "mix" else "b.jpg"
        typed = f"[{','.join(styles)}]" if isinstance(styles, list) else styles
        listed = jobs(path.stem, *own, f"style.path={typed}")
        made = composed(path.stem, listed[-1])
        assert (made.content.path, made.style.path) == ("a.jpg", styles)
        assert made.seed == 5
        assert made.image.size == 64


def test_own_pairs(tmp_path: Path) -> None:
    own = ["pair=none", "content.path=builtin:coffee", "style.path=builtin:gravel,builtin:grass"]
    ended = nst("+experiments=additional", *own, *TINY, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    page = build(tmp_path / "outputs").read_text()
    assert re.findall(r'<th scope="row">([^<]*)</th>', page) == ["gravel", "grass"]


MINE = """\
# @package _global_
# Adam's rate.  nst +experiments=rates
defaults:
  - override /optimizer: adam
  - override /init: noise
hydra:
  mode: MULTIRUN
  sweeper:
    params:
      optimizer.lr: 0.02,0.2
      seed: 0,1
experiment:
  name: rates
  section: A
  title: Learning rates <b>of</b> Adam
  columns: [optimizer.lr]
  claims:
    - text: A larger rate is better.
      kind: best
      key: optimizer.lr
      winners: ["0.2"]
      measures: [loss]
"""


def test_a_new_table_is_a_new_file(tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "experiments"
    folder.mkdir(parents=True)
    (folder / "rates.yaml").write_text(MINE)
    search = f"hydra.searchpath=[file://{folder.parent}]"
    ended = nst("+experiments=rates", search, *TINY, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    ended = nst_report("rates", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    page = (tmp_path / ended.stdout.splitlines()[-1]).read_text()
    assert "Learning rates &lt;b&gt;of&lt;/b&gt; Adam" in page
    assert page.count('<td class="cell">') == 2
    assert "A larger rate is better." in page
    # the same by nst-report itself: nothing is left to be computed
    ended = nst_report("--run", "rates", "--config-dir", "mine", *TINY, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert len(list((tmp_path / "outputs" / "runs").iterdir())) == 4


def _records(folder: Path) -> dict[Path, dict[str, Any]]:
    return {path: json.loads(path.read_text()) for path in folder.glob("outputs/runs/*/run.json")}


@slow
def test_killed_and_started_again(tmp_path: Path) -> None:
    """A report that was killed goes on where it stopped; what was finished is not touched."""
    command = ["--run", "texture_layers", "layers=textbook,sparse", "seed=0", *TINY, "steps=12"]
    process = commands.Process("nst.cli.report", command, tmp_path, dict(os.environ))

    def completed() -> list[Path]:
        found = _records(tmp_path)
        return [path for path, facts in found.items() if facts["status"] == "completed"]

    commands.wait_until(completed, process)
    process.kill()
    process.wait()
    times = {path: path.stat().st_mtime_ns for path in completed()}
    assert len(times) == 1
    ended = nst_report(*command, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert [facts["status"] for facts in _records(tmp_path).values()] == ["completed"] * 2
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert "2 of 2 runs finished" in (tmp_path / ended.stdout.splitlines()[-1]).read_text()


@slow
def test_total_progress(tmp_path: Path) -> None:
    ended = nst_report("--run", "additional", "two_noises", *TINY, cwd=tmp_path)
    lines = [line for line in ended.stderr.splitlines() if " all 0:" in line]
    assert [line.split()[0] for line in lines[::2]] == [f"{job}/6" for job in range(1, 7)]
    assert lines[-1].endswith(" all 0:00:00")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--run", "wieghts"], ["experiment=wieghts", "texture_layers"]),
        (["--run", "weights", "image.size=0"], ["image.size=0"]),
        (["--run", "weights", "stepz=4"], ["stepz", "steps"]),
        (["image.size=32"], ["--run"]),
        (["--run", "weights", "--config-dir", "nowhere"], ["--config-dir=nowhere"]),
    ],
)
def test_wrong_words_are_one_line(words: list[str], names: list[str], tmp_path: Path) -> None:
    ended = nst_report(*words, cwd=tmp_path)
    assert ended.returncode == 2
    (line,) = ended.stderr.strip().splitlines()
    assert all(name in line for name in names), line
    assert not list(tmp_path.iterdir())


def test_no_runs_is_one_line(tmp_path: Path) -> None:
    ended = nst_report(cwd=tmp_path)
    assert ended.returncode == 1
    (line,) = ended.stderr.strip().splitlines()
    assert "no run" in line and "--run" in line
