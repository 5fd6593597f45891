"""A sweep that is run again composes only the jobs that may have changed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nst.cli.main import invoke
from nst.runner import experiment_jobs
from nst.sweeps import sweep_folder
from nst.sweeps.composer import Composer
from nst.sweeps.vectorized.finished import FinishedJobs

pytestmark = pytest.mark.usefixtures("tiny_backbone")

TINY = (
    *("-m", "hydra/launcher=vectorized", "image.size=32", "steps=1", "logger=none", "init=noise"),
    *("snapshot_every=1", "layers.content=[conv2_1]", "layers.style=[conv1_1]"),
)
SEEDS = ("seed=0,1,2",)
WIDTH = 40


@pytest.fixture(autouse=True)
def composed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs that were composed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["nst"])
    found: list[str] = []
    compose = Composer.compose

    def noted(self: Composer, overrides: list[str]) -> object:
        found.extend(each for each in overrides if each.startswith(("seed=", "weights=")))
        return compose(self, overrides)

    monkeypatch.setattr(Composer, "compose", noted)
    _photo("photo.png", 0)
    return found


def _photo(name: str, level: int) -> None:
    Image.new("RGB", (WIDTH, WIDTH), (level, 90, 200)).save(name)


def _swept(*own: str) -> list[str]:
    """Runs a sweep; the outcomes of its jobs."""
    options = [each for each in own if each.startswith("--")]
    assert invoke([*options, *TINY, *(each for each in own if each not in options)]) == 0
    sweep = max(Path("outputs/sweeps").iterdir(), key=lambda each: each.stat().st_mtime_ns)
    return [each.outcome for each in sweep_folder.outcomes(sweep)]


def test_nothing_is_composed_again(composed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert _swept(*SEEDS) == ["completed"] * 3
    assert len(composed) == 3
    composed.clear()
    first = capsys.readouterr().out.splitlines()[-3:]
    assert _swept(*SEEDS) == ["finished before"] * 3
    assert composed == []
    told = capsys.readouterr()
    assert "3 of 3 jobs finished before" in told.out
    assert told.out.splitlines()[-3:] == first  # the folders
    # a further job is
    assert _swept("seed=0,1,2,3") == ["finished before"] * 3 + ["completed"]
    assert composed == ["seed=3"]


def _picture() -> None:
    _photo("photo.png", 255)


def _file_of_a_group() -> None:
    path = Path("own/weights/mine.yaml")
    path.write_text(path.read_text().replace("1e5", "2e5"))


def _environment() -> None:
    os.environ["NST_TEST_TV"] = "2"


def _run_folder() -> None:
    for folder in Path("outputs/runs").iterdir():
        (folder / "final.png").unlink()


def _memory() -> None:
    for path in Path("outputs/finished").iterdir():
        path.write_text("{\n[]\n" + path.read_text().replace('"job"', '"jib"'))


@pytest.mark.parametrize(
    "changed", [_picture, _file_of_a_group, _environment, _run_folder, _memory]
)
def test_what_may_have_changed_is_composed(
    composed: list[str], changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NST_TEST_TV", "1")
    group = Path("own/weights/mine.yaml")
    group.parent.mkdir(parents=True)
    group.write_text(
        "content: 1\nstyle: 1e5\ntv: ${oc.decode:${oc.env:NST_TEST_TV}}\nspectrum: 0\n"
    )
    own = ("--config-dir=own", "weights=mine,mild", "content.path=photo.png")
    assert _swept(*own) == ["completed"] * 2
    composed.clear()
    changed()
    again = _swept(*own)
    assert sorted(composed) == ["weights=mild", "weights=mine"]
    expected = {
        _picture: ["completed"] * 2,
        _file_of_a_group: ["finished before"] * 2,  # tests load a config file once
        _environment: ["completed", "finished before"],
        _run_folder: ["completed"] * 2,
        _memory: ["finished before"] * 2,
    }
    assert again == expected[changed]


@pytest.mark.parametrize("changes", ["picture", "config"])
def test_what_changes_while_a_sweep_runs_is_composed(
    composed: list[str], changes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was read, what is there at the end is not what the run was made of."""
    group = Path("own/weights/mine.yaml")
    group.parent.mkdir(parents=True)
    group.write_text("content: 1\nstyle: 1e5\ntv: 0\nspectrum: 0\n")
    before = group.read_text()
    remember = FinishedJobs.remember

    def late(self: FinishedJobs, runs: Any) -> None:
        if changes == "picture":
            _photo("photo.png", 255)
        else:
            group.write_text(before.replace("1e5", "2e5"))
        remember(self, runs)

    own = ("--config-dir=own", "weights=mild", "content.path=photo.png")
    with monkeypatch.context() as patch:
        patch.setattr(FinishedJobs, "remember", late)
        _swept(*own)
    group.write_text(before)
    composed.clear()
    _swept(*own)
    assert composed == ["weights=mild"]


@pytest.mark.parametrize(
    "own",
    [("force=true",), ("retry=failed",), ("weights.tv=${weights.spectrum}",)],
    ids=" ".join,
)
def test_other_sweeps_are_composed(composed: list[str], own: tuple[str, ...]) -> None:
    for _ in range(2):
        composed.clear()
        _swept("seed=0", *own)
        assert len(composed) == 1


def test_experiments_have_their_newest_sweep() -> None:
    asked = []
    for seeds in ("seed=0,1,2", "seed=0,1,2", "seed=0,2"):
        _swept("+experiments=two_noises", "init=noise", seeds)
        jobs = [
            job
            for folder in Path("outputs/runs").iterdir()
            for job in experiment_jobs.read(folder)
            if "seed=0" in job.overrides
        ]
        (job,) = jobs
        asked.append(job.sweep.asked)
    assert asked == sorted(set(asked))
    assert len(job.sweep.jobs) == 2
