"""A page that is made again reads only the runs that have changed."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nst.compare import page_run, run_cache
from nst.compare.comparison import build
from nst.runner import record
from nst.runner.record import RUNNING
from tests.run_folders import made_up

NAMES = ("one", "two", "three")


def _age(folder: Path, seconds: float = 60) -> None:
    """Makes the last change of everything in a folder older."""
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (time.time() - seconds,) * 2)


@pytest.fixture(name="outputs")
def _outputs(tmp_path: Path) -> Path:
    for seed, name in enumerate(NAMES):
        _age(made_up(tmp_path, name, seed=seed))
    return tmp_path


@pytest.fixture(name="reads")
def _reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the runs that were read since it was emptied."""
    names: list[str] = []
    plain = page_run.read

    def read(record: Any) -> Any:
        names.append(record.folder.name)
        return plain(record)

    monkeypatch.setattr(run_cache, "read", read)
    return names


def _page(outputs: Path) -> dict[str, Any]:
    text = (build(outputs).parent / "runs.js").read_text()
    found: dict[str, Any] = json.loads(text.removeprefix("nstRuns(").removesuffix(");\n"))
    del found["made"]
    return found


def test_the_page_is_the_same(outputs: Path, reads: list[str]) -> None:
    first = _page(outputs)
    assert sorted(reads) == sorted(NAMES)
    reads.clear()
    assert _page(outputs) == first
    assert reads == []
    assert [run["facts"]["seed"] for run in first["runs"]] == ["0", "1", "2"]
    made_up(outputs, "four", seed=3)
    more = _page(outputs)
    assert reads == ["four"]
    assert [run["facts"]["seed"] for run in more["runs"]] == ["0", "1", "2", "3"]


def _new_experiment(folder: Path) -> None:
    (folder / "experiments").mkdir()


def _new_snapshot(folder: Path) -> None:
    Image.new("RGB", (48, 32)).save(folder / "snapshots" / "00002.png")


def _no_final(folder: Path) -> None:
    (folder / "final.png").unlink()


def _no_inputs(folder: Path) -> None:
    (folder / "inputs" / "style.png").unlink()


def _new_losses(folder: Path) -> None:
    (folder / "metrics.csv").write_text("step,seconds,loss/total\n0,0.0,2.0\n1,0.1,0.5\n")


def _new_seed(folder: Path) -> None:
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace('"seed": 1', '"seed": 7'))


def _diverged(folder: Path) -> None:
    (folder / "run.json").write_text(json.dumps({"status": "diverged", "reason": "too fast"}))


@pytest.mark.parametrize(
    "change",
    [
        *(_new_experiment, _new_snapshot, _no_final, _no_inputs, _new_losses, _new_seed),
        _diverged,
    ],
)
def test_a_run_that_has_changed_is_read_again(
    change: Callable[[Path], None], outputs: Path, reads: list[str]
) -> None:
    before = _page(outputs)
    reads.clear()
    change(outputs / "runs" / "two")
    after = _page(outputs)
    assert reads == ["two"]
    assert len(list((outputs / "compare/filmstrips").iterdir())) == 3  # the old one is gone
    shutil.rmtree(outputs / "compare")
    assert _page(outputs) == after  # as if nothing was known
    if change is not _new_experiment:
        assert after != before


def test_runs_that_may_still_change_are_not_kept(outputs: Path, reads: list[str]) -> None:
    """Running ones, and those that changed a moment ago: times of files are coarse."""
    facts = json.loads((outputs / "runs/one/run.json").read_text())
    (outputs / "runs/one/run.json").write_text(json.dumps(facts | {"status": RUNNING}))
    _age(outputs / "runs/one")
    _age(outputs / "runs/two", 0)
    _page(outputs)
    reads.clear()
    _page(outputs)
    assert sorted(reads) == ["one", "two"]


def test_another_version_reads_all(
    outputs: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _page(outputs)
    reads.clear()
    monkeypatch.setattr(run_cache, "_code", lambda: "another")
    _page(outputs)
    assert sorted(reads) == sorted(NAMES)
    reads.clear()
    _page(outputs)
    assert reads == []


def test_a_filmstrip_that_is_gone_is_made_again(outputs: Path) -> None:
    first = _page(outputs)
    (lost, *_) = (outputs / "compare").glob("filmstrips/one-*.webp")
    lost.unlink()
    assert _page(outputs) == first
    assert lost.is_file()


def test_the_file_is_read_whatever_is_in_it(outputs: Path, reads: list[str]) -> None:
    first = _page(outputs)
    path = outputs / "compare" / run_cache.FILE
    head, *lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 3
    path.write_bytes(head + lines[0] + lines[1][:40] + b"\n\xff\n[]\n" + lines[2])
    reads.clear()
    assert _page(outputs) == first
    assert len(reads) == 1
    path.write_bytes(b"\x00")
    assert _page(outputs) == first


def test_the_file_does_not_grow_without_end(outputs: Path) -> None:
    path = outputs / "compare" / run_cache.FILE
    counts = []
    for seed in range(10, 30):
        folder = outputs / "runs" / "two"
        shutil.rmtree(folder)
        _age(made_up(outputs, "two", seed=seed), 60 + seed)
        _page(outputs)
        counts.append(len(path.read_bytes().splitlines()))
    assert max(counts) <= 1 + 2 * len(NAMES)


def test_values_that_are_equal_and_not_the_same(outputs: Path) -> None:
    """In Python 1 == 1.0 == True."""
    for name, value in (("one", True), ("two", 1), ("three", 1.0)):
        path = outputs / "runs" / name / "config.yaml"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"optimizer": {"lr": value}}))
        _age(path.parent)
    first = _page(outputs)
    assert [run["facts"]["optimizer.lr"] for run in first["runs"]] == ["true", "1", "1"]
    assert _page(outputs) == first
    assert [
        each.settings["optimizer.lr"]
        for name in NAMES
        if (each := run_cache.RunCache(outputs / "compare").run(outputs / "runs" / name))
    ] == [True, 1, 1.0]
    types = {
        type(each.settings["optimizer.lr"])
        for name in NAMES
        if (each := run_cache.RunCache(outputs / "compare").run(outputs / "runs" / name))
    }
    assert types == {bool, int, float}


def test_lines_of_a_process_that_read_another_file_are_skipped(
    outputs: Path, reads: list[str]
) -> None:
    """Such as of two commands at once, of which one writes the file anew."""
    _page(outputs)
    late = run_cache.RunCache(outputs / "compare")
    (outputs / "compare" / run_cache.FILE).unlink()
    shutil.move(outputs / "runs/one", outputs / "away")
    _page(outputs)  # now the usual facts are those of another run
    shutil.move(outputs / "away", outputs / "runs/one")
    late._new.add("one")
    late.save()
    reads.clear()
    found = {run["facts"]["seed"] for run in _page(outputs)["runs"]}
    assert found == {"0", "1", "2"}
    assert reads == ["one"]


def test_a_config_is_read_once(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []
    plain = record.read_config

    def read(folder: Path) -> dict[str, Any]:
        found.append(folder.name)
        return plain(folder)

    monkeypatch.setattr(record, "read_config", read)
    _page(outputs)
    assert sorted(found) == sorted(NAMES)
