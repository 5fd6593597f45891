"""Sweeps computed as batches: everything a plain sweep promises, in fewer passes."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nst.cli.main import invoke
from nst.reports.page import build
from nst.runner import experiment_jobs
from nst.runner.identify import folder_of, identify
from nst.runner.outcome import FINISHED_BEFORE
from nst.runner.plan import Plan
from nst.runner.record import COMPLETED, DIVERGED, FAILED, read_facts, read_status
from nst.runner.tracker import Tracker
from nst.runner.writer import RunWriter
from nst.sweeps import sweep_folder
from nst.sweeps.sweep_folder import JobOutcome
from nst.transfer.divergence import Divergence
from nst.transfer.module import StyleTransfer
from nst.transfer.objective import Objective
from tests.helpers import execute, first_of, module, optimise, prepared
from tests.run_folders import contents, two_names, wandb_history, wandb_records

pytestmark = pytest.mark.usefixtures("tiny_backbone")

BASE = ("image.size=32", "steps=4", "snapshot_every=2", "logger=none", "precision=32")
TINY = (*BASE, "layers.style=[conv2_1]", "layers.content=[conv3_1]")
VECTORIZED = ("-m", "hydra/launcher=vectorized")


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[int]]:
    """How many images each evaluation of a step had; in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    found: list[int] = []
    plain = StyleTransfer.training_step

    def step(made: StyleTransfer, *given: int) -> Any:
        found.append(len(made.image))
        return plain(made, *given)

    monkeypatch.setattr(StyleTransfer, "training_step", step)
    yield found


def swept(cwd: Path) -> list[JobOutcome]:
    """What the last sweep recorded."""
    return sweep_folder.outcomes(max((cwd / "outputs/sweeps").iterdir()))


def runs(cwd: Path) -> list[Path]:
    return sorted((cwd / "outputs/runs").iterdir())


def losses(folder: Path) -> list[float]:
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        return [float(row["loss/total"]) for row in csv.DictReader(file)]


def test_it_is_a_plain_sweep_in_one_pass(
    passes: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same runs, last lines, record, status, picture and refusals."""
    jobs = ("content.path=missing.png,builtin:chelsea", "init=noise,content", *TINY)
    (Path("plain")).mkdir()
    monkeypatch.chdir("plain")
    assert invoke(["-m", *jobs]) == 2
    plain = capsys.readouterr()
    monkeypatch.chdir("..")
    passes.clear()
    assert invoke([*VECTORIZED, *jobs]) == 2
    told = capsys.readouterr()
    assert passes == [2] * 4
    assert [path.name for path in runs(Path())] == [path.name for path in runs(Path("plain"))]
    for ours, theirs in zip(swept(Path()), swept(Path("plain")), strict=True):
        assert ours[:2] == theirs[:2]
        assert ours.why == theirs.why
        assert (ours.folder and ours.folder.name) == (theirs.folder and theirs.folder.name)
    assert "2 runs (jobs 2-3) in 1 batch\n" in told.err
    for text in (plain.err, told.err):
        assert text.count("nst: content.path=missing.png: no such file") == 2
        assert text.splitlines()[-1] == "sweep: 2 failed, 2 completed"
    printed = [
        [line for line in text.splitlines() if line.startswith("outputs/")]
        for text in (told.out, plain.out)
    ]
    assert printed[0] == printed[1]
    assert len(printed[0]) == 4  # each as it ends, and all at the end
    assert len(list(Path().glob("outputs/sweeps/*/side_by_side.png"))) == 1
    for number in (0, 1):
        (refused,) = Path().glob(f"outputs/sweeps/*/{number}")
        assert read_facts(refused)["reason"].startswith("content.path=missing.png")
    for batched, alone in zip(runs(Path()), runs(Path("plain")), strict=True):
        assert losses(batched) == pytest.approx(losses(alone), rel=1e-2)

    # and once more: nothing is computed again
    passes.clear()
    assert invoke([*VECTORIZED, *jobs]) == 2
    assert passes == []
    assert "sweep: 2 failed, 2 finished before" in capsys.readouterr().err


FEW = (*BASE, "layers.style=[conv1_1,conv3_1]", "layers.content=[conv2_2]")
MIXED = (
    ("init=noise", "seed=3", "weights.style=1e4"),
    ("content=coffee", "style=stained_glass", "layers.style=[conv1_1,relu3_2]"),
    ("init=style", "style=grass", "weights.tv=20", "layers.content=[conv3_1]"),
    ("content=rocket", "init=noise", "seed=5", "layer_weights=gatys", "normalize.layers=sum"),
)


def leaving(made: StyleTransfer, index: int, after: int) -> None:
    """Has an image leave the batch after so many steps."""
    plain = made._prepare

    def prepare(step: int) -> None:
        plain(step)
        if step == after:
            made.keep([each for each in range(len(made.runs)) if each != index])

    made._prepare = prepare  # type: ignore[method-assign]


def test_each_run_of_a_mixed_batch_is_itself_alone() -> None:
    """Also when another leaves the batch; in double precision, as trajectories amplify rounding."""
    mixed = [prepared(*FEW, *own) for own in MIXED]
    batch = module(mixed, torch.float64)
    leaving(batch, 1, 3)
    with pytest.raises(RuntimeError, match="stack"):  # rows of different lengths, at the very end
        optimise(batch)
    for image, run in zip(batch.image, [mixed[0], *mixed[2:]], strict=True):
        alone = module([run], torch.float64)
        optimise(alone)
        torch.testing.assert_close(image, alone.image[0], rtol=0, atol=1e-7)
    assert batch.runs == [mixed[0], *mixed[2:]]


def test_an_image_that_leaves_takes_nothing_with_it() -> None:
    """Adam's moments stay with their images, bit for bit."""
    three = [prepared(*FEW, "optimizer=adam", *own) for own in MIXED[:3]]
    whole, left = module(three), module(three)
    leaving(left, 1, 2)
    optimise(whole)
    with pytest.raises(RuntimeError, match="stack"):
        optimise(left)
    assert torch.equal(left.image, whole.image[[0, 2]])


def test_in_float32_runs_of_a_batch_are_themselves_to_rounding() -> None:
    """Which grows along the way: docs/vectorized.md has the numbers."""
    mixed = [prepared(*FEW, "steps=20", *own) for own in MIXED[1:3]]
    together = optimise(module(mixed))["total"]
    for index, run in enumerate(mixed):
        alone = optimise(module([run]))["total"]
        difference = (together[:, index] / alone[:, 0] - 1).abs()
        print(index, [f"{difference[step]:.1e}" for step in (0, 1, 5, 10, 20)])
        assert difference[:2].max() < 1e-5
        assert difference[-1] < 0.1


def test_what_diverges_leaves_the_batch_and_changes_nothing(passes: list[int]) -> None:
    assert invoke([*VECTORIZED, *TINY, "init=noise", "seed=0,1"]) == 0
    calm = {path.name: contents(path) for path in runs(Path())}
    assert passes == [2] * 4
    passes.clear()
    wild = ("weights.style=1.5e5,1e39", "outputs=wild", "seed=0,1", "init=noise")
    assert invoke([*VECTORIZED, *TINY, *wild]) == 1
    assert passes == [4] + [2] * 3
    found = sorted(Path("wild/runs").iterdir())
    ends = [read_status(path) for path in found]
    assert (ends.count(DIVERGED), ends.count(COMPLETED)) == (2, 2)
    for path in found:
        if read_status(path) == COMPLETED:
            assert contents(path) == calm[path.name]
        else:
            assert len(losses(path)) == 1


def test_what_diverges_at_the_very_end_is_not_mistaken_for_another(
    passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of two runs, by the evaluation after the last step."""
    assert invoke([*VECTORIZED, *TINY, "init=noise", "seed=0,1"]) == 0
    calm = {path.name: contents(path) for path in runs(Path())}
    plain = Divergence.update

    def update(judge: Divergence, step: int, losses: Tensor, *given: Tensor) -> Tensor:
        if step == 4:
            losses = losses.clone()
            losses[0] = torch.nan
            return plain(judge, step, losses, losses, given[1])
        return plain(judge, step, losses, *given)

    monkeypatch.setattr(Divergence, "update", update)
    assert invoke([*VECTORIZED, *TINY, "init=noise", "seed=0,1", "outputs=late"]) == 1
    first, second = (place("init=noise", f"seed={seed}").name for seed in (0, 1))
    assert read_status(Path("late/runs") / first) == DIVERGED
    assert contents(Path("late/runs") / second) == calm[second]


def test_what_is_read_late_is_recorded_as_if_read_at_once(
    passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where images that have diverged stay in the batch for some steps."""
    wild = ("steps=8", "weights.style=1e5,1e39", "init=noise")
    assert invoke([*VECTORIZED, *TINY, *wild, "outputs=once"]) == 1
    assert passes == [2] + [1] * 7
    passes.clear()
    monkeypatch.setattr("nst.transfer.module.NO_SYNC_DEVICES", frozenset())
    monkeypatch.setattr("nst.transfer.module.CHECK_EVERY", 3)
    assert invoke([*VECTORIZED, *TINY, *wild, "outputs=late"]) == 1
    assert passes == [2] * 3 + [1] * 5
    once, late = (
        {path.name: path for path in Path(name, "runs").iterdir()} for name in ("once", "late")
    )
    assert once.keys() == late.keys()
    for name, folder in once.items():
        assert read_status(folder) == read_status(late[name])
        if read_status(folder) == DIVERGED:
            assert losses(folder) == pytest.approx(losses(late[name]), nan_ok=True)
            assert read_facts(folder)["reason"] == read_facts(late[name])["reason"]


def place(*own: str) -> Path:
    """The folder that a run will have."""
    return folder_of(identify(prepared(*TINY, *own)))


def test_what_cannot_be_recorded_ends_its_run_alone(
    passes: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One folder that cannot be written, and one picture that cannot be encoded."""
    blocked, broken = (place("init=noise", f"seed={seed}") for seed in (1, 2))
    blocked.parent.mkdir(parents=True)
    blocked.write_text("in the way")
    plain = RunWriter.snapshot

    def snapshot(writer: RunWriter, step: int, image: Tensor) -> None:
        if writer.folder.path.name == broken.name and step == 2:
            raise ValueError("the encoder has no mind to")
        plain(writer, step, image)

    monkeypatch.setattr(RunWriter, "snapshot", snapshot)
    assert invoke([*VECTORIZED, *TINY, "init=noise", "seed=0,1,2,3"]) == 1
    assert passes == [
        3,
        3,
        3,
        3,
    ]  # its image stays: what records a run changes nothing of the batch
    ended = swept(Path())
    assert [each.outcome for each in ended] == [COMPLETED, FAILED, FAILED, COMPLETED]
    assert blocked.name in ended[1].why
    facts = read_facts(broken)
    assert (facts["status"], facts["reason"]) == (FAILED, "ValueError: the encoder has no mind to")
    told = capsys.readouterr().err
    assert all(f"nst: {each.why}" in told for each in ended[1:3])


def raising(
    monkeypatch: pytest.MonkeyPatch, when: Callable[[Tensor], bool], error: Exception
) -> None:
    plain = Objective.__call__

    def call(objective: Objective, image: Tensor) -> dict[str, Tensor]:
        if when(image):
            raise error
        return plain(objective, image)

    monkeypatch.setattr(Objective, "__call__", call)


def test_an_error_of_a_pass_is_that_of_its_group(
    passes: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other group completes; the message says what keeps them apart."""
    raising(monkeypatch, lambda image: image.shape[2] == 32, RuntimeError("broken"))
    assert invoke([*VECTORIZED, *TINY, "image.size=32,48", "init=noise,content"]) == 1
    told = capsys.readouterr().err
    assert passes == [2] + [2] * 4
    ended = swept(Path())
    assert [each.outcome for each in ended] == [FAILED, FAILED, COMPLETED, COMPLETED]
    for each in ended[:2]:
        assert each.folder is not None
        assert "RuntimeError: broken" in each.why
        assert read_facts(each.folder)["reason"] == "RuntimeError: broken"
    assert "2 runs (jobs 0-1) in 1 batch; separate because of picture=48x32\n" in told
    assert "2 runs (jobs 2-3) in 1 batch; separate because of picture=72x48\n" in told


def test_what_does_not_fit_in_memory_is_computed_by_halves(
    passes: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = RuntimeError(
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
    )
    raising(monkeypatch, lambda image: len(image) > 2, error)
    assert invoke([*VECTORIZED, *TINY, "steps=2", "init=noise", "seed=0,1,2,3"]) == 0
    assert passes == [4, 2, 2, 2, 2]
    told = capsys.readouterr().err
    assert "out of memory with a batch of 4 runs; retrying with 2+2" in told
    assert [each.outcome for each in swept(Path())] == [COMPLETED] * 4


def test_a_run_that_does_not_fit_alone_fails(
    passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    raising(monkeypatch, lambda image: True, RuntimeError("can't allocate memory"))
    assert invoke([*VECTORIZED, *TINY, "init=noise", "seed=0,1"]) == 1
    assert passes == [2, 1, 1]
    assert all("out of memory" in each.why for each in swept(Path()))


def test_interrupted_and_gone_on_with_bit_for_bit(
    passes: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second of two batches is stopped; the same command computes what is left of it."""
    command = [*VECTORIZED, *TINY, "steps=6", "init=noise", "seed=0,1,2,3", "schedule=pyramid"]
    command += ["hydra.launcher.max_batch_size=2"]
    assert invoke([*command, "outputs=peace"]) == 0
    assert passes == [2] * 12
    told = capsys.readouterr().err
    assert "4 runs (jobs 0-3) in 2 batches of 2+2: at most 2, max_batch_size=2" in told

    plain, calls = Tracker.on_train_batch_end, iter(range(100))

    def stopped(tracker: Tracker, *given: Any) -> None:
        plain(tracker, *given)
        if next(calls) == 6 + 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(Tracker, "on_train_batch_end", stopped)
        assert invoke(command) == 128 + signal.SIGTERM
    told = capsys.readouterr().err
    assert "sweep: 2 completed, 2 not finished" in told
    ends = [read_facts(path)["status"] for path in runs(Path())]
    assert (ends.count("completed"), ends.count("interrupted")) == (2, 2)
    passes.clear()
    assert invoke(command) == 0
    assert len(passes) in (1, 2)  # a signal is noted a step later at most
    assert set(passes) == {2}
    assert capsys.readouterr().err.count("resuming from step") == 2
    for ours, theirs in zip(runs(Path()), sorted(Path("peace/runs").iterdir()), strict=True):
        assert ours.name == theirs.name
        assert contents(ours) == contents(theirs)


def test_what_is_asked_for_twice_is_computed_once(
    passes: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """A seed means nothing from content; and with retry=failed, what never failed is skipped."""
    assert invoke([*VECTORIZED, *TINY, "init=noise,content", "seed=0,1"]) == 0
    assert passes == [3] * 4
    ended = swept(Path())
    assert [each.outcome for each in ended] == [COMPLETED] * 3 + [FINISHED_BEFORE]
    assert ended[2].folder == ended[3].folder
    assert "3 runs (jobs 0-3) in 1 batch" in capsys.readouterr().err
    passes.clear()
    assert invoke([*VECTORIZED, *TINY, "init=noise,style", "seed=0", "retry=failed"]) == 0
    assert passes == []
    assert "1 finished before, 1 skipped" in capsys.readouterr().err
    assert invoke([*VECTORIZED, *TINY, "init=noise", "seed=0,1", "force=true"]) == 0
    assert passes == [2] * 4
    assert len([path for path in runs(Path()) if path.name.endswith("-2")]) == 2


@pytest.mark.parametrize("launcher", first_of(["vectorized", "basic"]))
def test_a_renamed_picture_is_computed_once(
    launcher: str, passes: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Although neither name has a folder when the sweep begins."""
    two_names(Path())
    command = ["-m", f"hydra/launcher={launcher}", *TINY, "content.path=one.png,two.png"]
    assert invoke(command) == 0
    assert passes == [1] * 4
    told = capsys.readouterr()
    (folder,) = runs(Path())
    assert folder.name.startswith("style_transfer-one-")
    assert [each.outcome for each in swept(Path())] == [COMPLETED, FINISHED_BEFORE]
    assert {each.folder for each in swept(Path())} == {folder.resolve()}
    assert told.out.count(f"{folder}\n") == 3  # each as it ends, and once at the end
    assert ("1 run (jobs 0-1) in 1 batch" in told.err) == (launcher == "vectorized")
    passes.clear()
    assert invoke([*command, "force=true"]) == 0
    again = ["-2"] if launcher == "vectorized" else ["-2", "-3"]  # in one batch it is one run
    assert passes == [1] * 4 * len(again)
    assert len(runs(Path())) == 1 + len(again)
    assert {path.name[-2:] for path in runs(Path())} == {folder.name[-2:], *again}


def test_live_runs_of_a_batch_are_each_whole_in_wandb(passes: list[int]) -> None:
    jobs = ("init=noise,content", "logger=wandb", "logger.wandb.mode=offline")
    assert invoke([*VECTORIZED, *TINY, *jobs]) == 0
    assert passes == [2] * 4
    ids = set()
    for folder in runs(Path()):
        records = wandb_records(folder)
        (began,) = [record["run"] for record in records if "run" in record]
        ids.add(began["run_id"])
        assert began["display_name"] == folder.name
        history = wandb_history(records)
        assert sorted(history) == list(range(5))
        for step, loss in enumerate(losses(folder)):
            assert history[step]["loss/total"] == pytest.approx(loss)
        (ended,) = [record["exit"] for record in records if "exit" in record]
        assert not ended.get("exit_code")
    assert len(ids) == 2


def test_a_table_of_the_report_as_a_batch(passes: list[int]) -> None:
    assert invoke(["+experiments=two_noises", *TINY, "hydra/launcher=vectorized"]) == 0
    assert passes == [3] * 4
    page = build(Path("outputs")).read_text(encoding="utf-8")
    assert "3 of 3 runs finished" in page
    for folder in runs(Path()):
        (job,) = experiment_jobs.read(folder)
        assert len(job.sweep.jobs) == 3
    # written once, and not into each folder
    (jobs,) = Path("outputs/experiments").iterdir()
    assert len(json.loads(jobs.read_text())["jobs"]) == 3
    for folder in runs(Path()):
        (member,) = (folder / "experiments").iterdir()
        assert json.loads(member.read_text())["jobs"] == jobs.stem


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("hydra.launcher.max_batch_size=0", "hydra.launcher.max_batch_size=0: must be a whole"),
        ("hydra.job.chdir=true", "hydra.job.chdir=True: not with"),
    ],
)
def test_what_the_launcher_cannot_do_is_one_line(
    wrong: str, told: str, passes: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke([*VECTORIZED, *TINY, "seed=0,1", wrong]) == 2
    assert passes == []
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"nst: {told}")


def test_hydra_finds_the_launcher_and_starts_as_fast() -> None:
    code = (
        "import sys\n"
        "from hydra.core.plugins import Plugins\n"
        "from hydra.plugins.launcher import Launcher\n"
        "found = {each.__name__ for each in Plugins.instance().discover(Launcher)}\n"
        "assert 'VectorizedLauncher' in found, found\n"
        "assert not {'torch', 'lightning', 'nst'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_progress_counts_the_jobs_of_a_batch() -> None:
    plan = Plan([1.0, 1.0, 10.0, 1.0])
    plan.current_batch = [0, 2]
    assert plan.left(0.5, 22.0) == pytest.approx(22 + 2 * 4)  # the other two are to come
    plan.computed(44.0)
    plan.current_batch = []
    plan.end(0)
    assert plan.now == [1]
    assert plan.left(0.5, 2.0) == pytest.approx(2 + 4)  # the third is computed already


def test_a_batch_without_a_sweep_tells_of_each_run(tmp_path: Path) -> None:
    """``execute`` raises only if no run ended well."""
    asked = [
        prepared(*TINY, f"weights.style={each}", f"outputs={tmp_path}") for each in ("1", "1e39")
    ]
    assert [read_status(folder) for folder in execute(asked)] == [COMPLETED, DIVERGED]
