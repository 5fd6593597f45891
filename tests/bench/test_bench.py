"""Every part of the benchmark at a size where its numbers mean nothing: what it writes is whole."""

from __future__ import annotations

import json
import math
import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock
from xml.etree import ElementTree

import pytest
import torch

from tests.bench import (
    batch,
    calibrate,
    gpu,
    losses,
    many,
    memory,
    pastiche,
    search,
    step,
    time_to_loss,
)
from tests.bench import loop as bench_loop
from tests.bench import report as bench_report
from tests.bench.rows import Row, merge, read, table
from tests.helpers import STYLE_LOSSES, execute, first_of, module, prepared, slow
from tests.textbook import answer

KEYS = {"figure", "unit", "ours", "theirs", "ratio", "goal", "better", "part"}
TINY = ["image.size=32", "steps=2"]


def _one_precision(monkeypatch: pytest.MonkeyPatch, part: ModuleType) -> None:
    monkeypatch.setattr(part, "precisions", lambda: ["32"])


@contextmanager
def _textbook_here() -> Iterator[bench_loop.Ask]:
    """The textbook loop in this process: a second saved, wherever its own is not the point."""

    def ask(file: Path, steps: int) -> dict[str, Any]:
        return answer({"file": file, "steps": steps})

    yield ask


def _check(part: str, rows: list[Row], folder: Path) -> None:
    """The rows as they stand in the file."""
    merge(part, rows, folder / "bench.json")
    written = json.loads((folder / "bench.json").read_text())
    assert len(written) == len(rows) > 0
    for row in written:
        assert set(row) == KEYS
        for key in ("ours", "theirs", "ratio", "goal"):
            assert row[key] is None or math.isfinite(row[key])
        assert row["part"] == part
    assert len({row["figure"] for row in written}) == len(written)
    assert len(table(rows).splitlines()) == len(rows) + 2


@slow
def test_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _one_precision(monkeypatch, step)
    monkeypatch.setattr(step, "textbook", _textbook_here)
    monkeypatch.setattr(step, "GOALS_SIZE", 32)
    monkeypatch.setattr(step, "GOALS", {(32, "32"): 1.1})
    monkeypatch.setattr(step, "SETTINGS", [*step.SETTINGS, "logger=none"])
    rows = step.measure({32: (2, 1)}, {32: 2}, (64,))
    _check("step", rows, tmp_path)
    assert [row.goal for row in rows] == [1.1, None, 0.70, 0.02]
    assert rows[0].ratio is not None and rows[0].theirs is not None and rows[0].ours is not None
    assert rows[0].ratio == pytest.approx(rows[0].theirs / rows[0].ours)


@slow
def test_the_textbook_loop_in_a_process_of_its_own(tmp_path: Path) -> None:
    run = prepared(*TINY, "init=noise")
    problem = bench_loop.write_problem(run, tmp_path / "problem.pt")
    with bench_loop.textbook() as theirs, _textbook_here() as here:
        apart, together = (ask(problem, 2)["losses"] for ask in (theirs, here))
    assert len(apart) == len(together)
    assert apart[0] == pytest.approx(together[0])  # later ones amplify rounding


@slow
def test_gpu(tmp_path: Path) -> None:
    """On a processor, without the report."""
    given = replace(gpu.plan(), device=torch.device("cpu"), ways=gpu.EAGER[::2])
    with mock.patch.object(gpu, "_report", mock.Mock(side_effect=OSError)):
        rows = [row for part in gpu.measure(given) for row in part]
    assert rows[-1].figure == "the report: failed"
    _check("many", rows, tmp_path)
    assert [row.figure for row in rows if row.met is False] == []
    assert sum(row.goal is not None for row in rows) == 3  # of float32 alone
    text = gpu.page(given.device, rows)
    assert "There is no GPU here" in text
    assert len(text.splitlines()) == len(rows) + 8


def test_tf32_is_restored() -> None:
    before = torch.backends.cudnn.allow_tf32
    with gpu.tf32(not before):
        assert torch.backends.cudnn.allow_tf32 is not before
    assert torch.backends.cudnn.allow_tf32 is before


def test_operations_of_a_step() -> None:
    """By hand, at 16 px."""
    run = prepared("image.size=16", "content=astronaut", "layers.style=[conv1_2,conv2_1]")
    run.config.layers.content = ["conv1_1"]
    convolutions = 4 * 9 * (3 * 64 * 256 + 64 * 64 * 256 + 64 * 128 * 64)
    assert step.operations(run) == (convolutions, 4 * (64**2 * 256 + 128**2 * 64))


@pytest.mark.parametrize("own_process", first_of([False, True]))
def test_pastiche_takes_its_options(
    own_process: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its command runs once; of ours, the overrides are composed."""
    _one_precision(monkeypatch, pastiche)
    picture = pastiche._picture("builtin:waves", 32, tmp_path)
    if own_process:
        assert pastiche._seconds("pastiche", picture, picture, 32, 1) > 0
    else:
        _, _, module_name, *words = pastiche._pastiche(picture, picture, 1)
        monkeypatch.setattr(sys, "argv", [module_name, *words])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(module_name, run_name="__main__")
        assert not ended.value.code
    assert (tmp_path / "pastiche.png").is_file()
    assert "steps=4" in pastiche._nst(picture, picture, 32, 4, "32")
    seconds = {"pastiche": {1: 5.0, 3: 9.0}, "32": {1: 7.0, 3: 8.0}}
    monkeypatch.setattr(pastiche, "_seconds", lambda side, *rest: seconds[side][rest[-1]])
    rows = pastiche.measure(32, (1, 3), 1)
    _check("pastiche", rows, tmp_path)
    assert (rows[0].ours, rows[0].theirs, rows[0].ratio) == (0.5, 2.0, 4.0)


@slow
def test_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(time_to_loss, "CASES", time_to_loss.CASES[1:2])
    monkeypatch.setattr(time_to_loss, "textbook", _textbook_here)
    curves, plot = tmp_path / "curves.json", tmp_path / "plot.svg"
    rows = time_to_loss.measure(
        size=64, targets=(1, 2), cap=6, fast=("logger=none",), curves=curves, plot=plot
    )
    _check("time", rows, tmp_path)
    (record,) = json.loads(curves.read_text())
    for side in ("textbook", "ours"):
        seconds = record[side]["seconds"]
        assert seconds == sorted(seconds)
        assert len(seconds) == len(record[side]["losses"]) > 0
    assert len(record["textbook"]["losses"]) >= 3
    assert ElementTree.parse(plot).getroot().tag.endswith("svg")


def test_time_stops_at_the_target(tmp_path: Path) -> None:
    common = [*TINY, "steps=6", "init=content", "logger=none", f"outputs={tmp_path}"]
    objective = module([prepared(*common)]).objective
    run = prepared(*common, time_to_loss.WATCHED)
    curve = time_to_loss.Watch(objective, run, target=math.inf).follow(run)
    assert len(curve.losses) == 1


def test_the_best_so_far_is_the_target() -> None:
    curve = time_to_loss.Curve([0.0, 1.0, 2.0, 3.0, 4.0], [9.0, 5.0, 7.0, 6.0, 2.0])
    assert time_to_loss._lowest(curve, 3) == (1.0, 5.0)
    assert time_to_loss._lowest(curve, 4) == (4.0, 2.0)
    assert curve.first(5.5) == 1.0
    assert curve.first(1.0) is None


@pytest.mark.parametrize("task", first_of(["style_transfer", "content_reconstruction"]))
def test_another_function_is_noticed(task: str, tmp_path: Path) -> None:
    """Both tasks are the same function to either side; with another weight it is another one."""
    run = prepared("+preset=report", *TINY, f"task={task}", "init=noise")
    other = prepared("+preset=report", *TINY, f"task={task}", "init=noise", "weights.content=1.01")
    problem = bench_loop.write_problem(run, tmp_path / "problem.pt")
    image = bench_loop.start(run)
    with _textbook_here() as ask:
        time_to_loss.check_same(module([run]).objective, image, ask, problem)
        with pytest.raises(RuntimeError, match="not the same function"):
            time_to_loss.check_same(module([other]).objective, image, ask, problem)


def test_losses(tmp_path: Path) -> None:
    rows = losses.measure(32, 2, 1)
    assert len(rows) == len(STYLE_LOSSES) - 1
    assert {row.goal for row in rows} == {*losses.GOALS.values(), None}  # none for remd
    _check("losses", rows, tmp_path)


@slow
def test_calibration() -> None:
    """What the config files have is what it finds, roughly at this size and for one pair."""
    found = calibrate.scales(["astronaut_brushstrokes"], calibrate.STEPS, 64)
    for term, names in calibrate.LOSSES.items():
        for name in names:
            loss = prepared(f"{term}_loss={name}").loss(term)
            assert loss is not None
            assert found[name] / 4 < loss.scale < found[name] * 4, name


def test_batch(tmp_path: Path) -> None:
    rows = batch.measure({32: 1.7}, 2, 1, batch.RUNS[:2])
    _check("batch", rows, tmp_path)


def test_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Both would run in processes of their own."""
    _one_precision(monkeypatch, memory)
    monkeypatch.setattr(memory, "textbook", _textbook_here)
    found = memory.one([*TINY, "logger=none"])
    monkeypatch.setattr(
        memory,
        "_in_own_process",
        lambda settings: (found["peak"] / memory.GIB, found["seconds"]),
    )
    rows = memory.measure([32], 2)
    _check("memory", rows, tmp_path)
    assert 0.1 < (rows[0].theirs or 0) < 20


@slow
def test_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two runs in the place of the command's; the loop is broken off once, and goes on."""

    def report(words: list[str], outputs: Path) -> float:
        racing = [word for word in words if word.startswith("+trainer.callbacks=")]
        steps = [word for word in words if word.startswith("steps=")]
        for init in ("noise", "content"):
            common = [f"init={init}", "logger=none", f"outputs={outputs}", *racing, *steps]
            execute([prepared("+preset=report", *TINY, *common)])
        return 10.0

    asked: list[Path] = []

    def breaking(problem: Path, *given: Any) -> dict[str, float]:
        if asked:
            raise KeyboardInterrupt
        asked.append(problem)
        return loop(problem, *given)

    monkeypatch.setattr(bench_report, "_report", report)
    monkeypatch.setattr(bench_report, "PARTS", [(["weights"], ["steps=6"])])
    monkeypatch.setattr(bench_report, "textbook", _textbook_here)
    file = tmp_path / "kept.json"
    measure = partial(bench_report.measure, overrides=(), kept=file, outputs=tmp_path / "report")
    loop = bench_report._one
    monkeypatch.setattr(bench_report, "_one", breaking)
    with pytest.raises(KeyboardInterrupt):
        measure()
    (first,) = json.loads(file.read_text())["theirs"].values()
    monkeypatch.setattr(bench_report, "_one", loop)
    rows = measure()
    _check("report", rows, tmp_path)
    assert rows[1].theirs == 2
    found = json.loads(file.read_text())["theirs"].values()
    assert first in found
    assert all(each["seconds"] > 0 and math.isfinite(each["loss"]) for each in found)


def test_a_run_of_the_report_ends_at_the_loss_of_the_loop(tmp_path: Path) -> None:
    words = ["+preset=report", *TINY, "init=noise", "steps=8", f"outputs={tmp_path}"]
    (whole,) = execute([prepared(*words)])
    losses = [float(line.split(",")[2]) for line in (whole / "metrics.csv").read_text().split()[1:]]
    run = prepared(*words)
    file = tmp_path / "losses.json"
    target = losses[4]
    file.write_text(json.dumps({bench_report.request(run.config): target}))
    racing = f"+trainer.callbacks=[{{_target_: tests.bench.report.Race, losses: '{file}'}}]"
    (folder,) = execute([prepared(*words, racing)])
    ended = len((folder / "metrics.csv").read_text().split()) - 2
    assert 4 <= ended < 8
    assert bench_report._loss(run, folder) <= target


def test_rows_of_a_part_replace_its_older_ones(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    merge("batch", [Row("old", "s", 1.0), Row("older", "s", 1.0)], file)
    merge("step", [Row("fast", "s", 1.0, 3.0, 3.0, 2.0)], file)
    merge("batch", [Row("new", "s", None, goal=8.0, better="lower")], file)
    assert [row.figure for row in read(file)] == ["fast", "new"]
    assert [row.met for row in read(file)] == [True, False]
    assert "| new | not reached |  |  | ≤ 8 | no |" in table(read(file))


def test_hypervolume() -> None:
    """By hand: two rectangles that overlap; a dominated point and one beyond add nothing."""
    points = [(1.0, 2.0), (2.0, 1.0), (2.5, 2.5), (9.0, 0.0)]
    assert search.hypervolume(points, (3.0, 3.0)) == 2 * 1 + 1 * 1
    assert search.hypervolume([], (3.0, 3.0)) == 0


def test_search(tmp_path: Path) -> None:
    base = (*TINY, "logger=none", "snapshot_every=2")
    grid = ("weights.style=1e3,1e7", "layers=report")
    rows = search.measure(search.PAIRS[:1], grid, base, seeds=1, trials=4, many=16)
    _check("search", rows, tmp_path)
    assert [row.goal for row in rows] == [22, 1.0, 50, None]
    assert rows[2].ours is not None and rows[2].ours > 0
    assert rows[3].theirs is not None and rows[3].theirs > 0


def test_many(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The sweeps of a few jobs, in this process."""
    sizes = iter([10.0, 20.0, 30.0, *[1.0] * 20])
    taken: list[tuple[str, ...]] = []

    def run(folder: Path, *arguments: str) -> many.Used:
        taken.append(arguments)
        return many.Used(next(sizes), 100.0)

    monkeypatch.setattr(many, "run", run)
    monkeypatch.setattr(many, "first_snapshot", lambda folder, *arguments: 1.0)
    _check("many", many.measure(1, 3, 2, 1), tmp_path)
    seeds = [each for own in taken for each in own if each.startswith("seed=range")]
    assert seeds == [f"seed=range({each})" for each in ("0,1", "1,4", "1,4", "0,1", "4,5", "5,7")]


def test_a_command_of_many_runs_is_measured(tmp_path: Path) -> None:
    used = many.run(tmp_path, "--help")
    assert 0.1 < used.seconds < 100
    assert 20 < used.memory < 5000
    with pytest.raises(RuntimeError, match="no such key"):
        many.run(tmp_path, "sead=1")


def test_the_first_snapshot_of_a_command_is_timed(tmp_path: Path) -> None:
    seconds = many.first_snapshot(tmp_path, *many.TINY, "steps=1000")
    assert 0.1 < seconds < 300
    record = json.loads(next(tmp_path.glob("outputs/runs/*/run.json")).read_text())
    assert record["status"] == "running"  # killed: 1,000 steps take longer
    (tmp_path / "other").mkdir()
    with pytest.raises(RuntimeError, match="no such key"):
        many.first_snapshot(tmp_path / "other", "sead=1")
