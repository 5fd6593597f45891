"""What goes wrong while running: each ends one run, says why, and loses nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from nst.cli.main import invoke
from nst.runner.record import COMPLETED, DIVERGED, FAILED, RunRecord, read_facts, read_status
from nst.runner.writer import RunWriter
from nst.sweeps import summary_table, sweep_folder
from nst.transfer.objective import Objective
from nst.utils.errors import DivergedError, NstError
from tests.helpers import WILD, execute, first_of, prepared, slow
from tests.run_folders import contents

pytestmark = pytest.mark.usefixtures("tiny_backbone")

TINY = ("image.size=48", "steps=6", "snapshot_every=4", "logger=none")


KINDS = {"same": "png", "near": "jpg"}


def totals(folder: Path) -> list[float]:
    rows = (folder / "metrics.csv").read_text().splitlines()
    return [float(row.split(",")[2]) for row in rows[1:]]


def runs(place: Path) -> list[Path]:
    return sorted((place / "runs").iterdir())


def test_an_explosion_keeps_the_best_picture(tmp_path: Path) -> None:
    wild = prepared(*TINY, *WILD, "init=noise", "steps=40", f"outputs={tmp_path}")
    with pytest.raises(DivergedError, match=r"times that .* \(divergence=1000\)"):
        execute([wild])
    (folder,) = runs(tmp_path)
    facts = read_facts(folder)
    assert facts["status"] == DIVERGED
    rows = (folder / "metrics.csv").read_text().splitlines()
    assert len(rows) == facts["steps"] + 2  # it ends with the step that exploded
    assert f"the loss at step {facts['steps']} is" in facts["reason"]
    losses = totals(folder)
    assert losses[-1] > 1000 * losses[0]
    assert facts["losses"]["loss/total"] == min(losses)
    assert facts["best_step"] == losses.index(min(losses))
    assert not (folder / "final.png").exists()
    # the picture is that of the best step: a run that ends there has it too
    best = np.asarray(Image.open(folder / "best.png"))
    until = prepared(
        *TINY, *WILD, "init=noise", f"steps={facts['best_step']}", f"outputs={tmp_path / 'short'}"
    )
    (short,) = execute([until])
    assert np.array_equal(best, np.asarray(Image.open(short / "final.png")))


@pytest.mark.parametrize(
    "settings",
    first_of(
        [
            "content.path={same} style.path={near}",
            "content.path={same} style.path={near} optimizer=adam",
            "content.path={same} style.path={near} schedule=pyramid steps=8",
            "task=content_reconstruction content.path={same} init=file init.path={near}",
            "task=texture_synthesis style.path={same} init=file init.path={near}",
        ]
    ),
)
def test_a_start_next_to_its_target_is_no_divergence(settings: str, tmp_path: Path) -> None:
    """A photo, and the same photo as a JPEG: a loss near 0 is multiplied by almost any step."""
    pictures = {name: str(tmp_path / f"{name}.{kind}") for name, kind in KINDS.items()}
    content = prepared().content
    assert content is not None
    for path in pictures.values():
        content.image.save(path, quality=95)
    given = [each.format(**pictures) for each in settings.split()]
    run = prepared("image.size=64", "steps=4", "logger=none", *given, f"outputs={tmp_path}")
    (folder,) = execute([run])
    losses = totals(folder)
    assert max(losses) > 1000 * losses[0]  # as much as an explosion


UNDONE = (*TINY, *(each for each in WILD if "max_rise" not in each), "init=noise", "image.size=32")


@pytest.mark.parametrize("rate", first_of(["1e12", "1e4"]), ids=["infinite", "finite"])
def test_a_step_that_is_undone_is_no_divergence(rate: str, tmp_path: Path) -> None:
    """L-BFGS takes it back and tries a quarter; also where the run is interrupted meanwhile."""
    settings = (*UNDONE, "steps=16", f"optimizer.lr={rate}", f"outputs={tmp_path}")
    with pytest.raises(NstError, match="stopped by the Trainer"):
        execute([prepared(*settings, "+trainer.max_steps=3")])
    (folder,) = execute([prepared(*settings)])
    losses = totals(folder)
    assert not all(each < 1e6 * losses[0] for each in losses)
    assert losses[-1] <= 1.1 * losses[0]


@pytest.mark.parametrize(
    ("optimizer", "told"),
    [
        ("lbfgs", "the loss is not finite at steps 2 to 13, each of them undone and shortened"),
        ("adam", "the loss is not finite at step 2"),
    ],
)
def test_what_never_recovers_diverged(
    optimizer: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """12 times in a row, after which L-BFGS's steps are as short as float32 can resolve."""
    plain, calls = Objective.__call__, iter(range(100))

    def call(objective: Objective, image: Tensor) -> dict[str, Tensor]:
        found = plain(objective, image)
        return found if next(calls) < 2 else {name: each / 0 for name, each in found.items()}

    monkeypatch.setattr(Objective, "__call__", call)
    settings = ("steps=20", "divergence=null", f"optimizer={optimizer}", f"outputs={tmp_path}")
    with pytest.raises(DivergedError) as caught:
        execute([prepared(*TINY, "image.size=32", *settings)])
    assert str(caught.value) == told
    (folder,) = runs(tmp_path)
    assert read_facts(folder)["best_step"] in (0, 1)


def test_divergence_null_lets_the_loss_explode(tmp_path: Path) -> None:
    settings = ("init=noise", "steps=4", "divergence=null", f"outputs={tmp_path}")
    (folder,) = execute([prepared(*TINY, *WILD, *settings)])
    assert read_facts(folder)["losses"]["loss/total"] > 1e9


def test_others_of_the_batch_go_on_untouched(tmp_path: Path) -> None:
    """One image's loss overflows; the others end as they do beside one whose loss does not."""
    batches = {}
    for name, weight in (("calm", "1e5"), ("wild", "1e39")):
        outputs = f"outputs={tmp_path / name}"
        batch = [
            prepared(*TINY, "init=noise", "seed=1", outputs),
            prepared(*TINY, f"weights.style={weight}", outputs),
            prepared(*TINY, "style=waves", outputs),
        ]
        batches[name] = execute(batch)
    calm, wild = batches["calm"], batches["wild"]
    assert [read_status(folder) for folder in wild] == [COMPLETED, DIVERGED, COMPLETED]
    assert "step 0" in read_facts(wild[1])["reason"]
    assert not (wild[1] / "best.png").exists()  # it never had a loss
    assert contents(wild[0]) == contents(calm[0])
    assert contents(wild[2]) == contents(calm[2])


LIMITED = """
import resource, sys
from nst.cli.main import main
import nst.runner.execute
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2_500_000_000,) * 2)
main()
"""


@slow
def test_out_of_memory_is_one_failure_of_a_sweep(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIMITED, "-m", "image.size=6000,48", *TINY[1:]]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "sweep: 1 failed, 1 completed" in ended.stderr
    facts = {
        read_facts(folder)["status"]: read_facts(folder) for folder in runs(tmp_path / "outputs")
    }
    assert set(facts) == {FAILED, COMPLETED}
    assert facts[FAILED]["reason"].startswith("out of memory")


def test_a_sweep_shows_what_diverged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its status, picture and strip; and the sweep goes on, even where each job is a batch."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    rates = "optimizer.lr=60,1"
    batches = "hydra.sweeper.max_batch_size=1"
    assert invoke([*TINY, *WILD[:-1], "init=noise", "-m", rates, batches]) == 1
    told = capsys.readouterr().err
    assert "Error executing job" not in told  # Hydra's
    assert told.splitlines()[-1] == "sweep: 1 diverged, 1 completed"
    (place,) = (tmp_path / "outputs/sweeps").iterdir()
    ended = sweep_folder.outcomes(place)
    assert [each.outcome for each in ended] == [DIVERGED, COMPLETED]
    wild, calm = (each.folder for each in ended)
    assert wild is not None and calm is not None
    assert f"{wild.name}: {read_facts(wild)['reason']}" in told
    records = {folder: RunRecord(folder) for folder in (wild, calm)}
    found = summary_table.summary(ended, records, ["a", "b"], place / "none.png")
    assert found.folders == [calm]
    assert [row["status"] for row in found.rows] == [DIVERGED, COMPLETED]
    assert [row["reason"] for row in found.rows] == [read_facts(wild)["reason"], ""]
    assert [row["optimizer.lr"] for row in found.rows] == [60, 1]
    for row, folder, name in zip(found.rows, (wild, calm), ("best.png", "final.png"), strict=True):
        facts = read_facts(folder)
        assert np.array_equal(np.asarray(row["final"]()), np.asarray(Image.open(folder / name)))
        assert row["snapshots"]() is not None
        assert row["run"] == folder.name
        assert (row["steps"], row["loss/total"]) == (facts["steps"], facts["losses"]["loss/total"])

    shutil.rmtree(wild)
    records = {folder: RunRecord(folder) for folder in (wild, calm)}
    (row, _) = summary_table.summary(ended, records, ["a", "b"], place / "none.png").rows
    assert (row["status"], row["final"], row["run"]) == (DIVERGED, None, None)


def test_retry_runs_what_failed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pictures = "content.path=later.png,builtin:coffee"
    assert invoke(["-m", pictures, *TINY]) == 2
    refusal = read_facts(next((tmp_path / "outputs/sweeps").glob("*/0")))
    assert refusal["status"] == FAILED
    assert refusal["reason"].startswith("content.path=later.png: no such file")
    (coffee,) = runs(tmp_path / "outputs")
    began = (coffee / "run.json").stat().st_mtime_ns

    Image.new("RGB", (60, 50), "green").save("later.png")
    capsys.readouterr()
    assert invoke(["-m", f"{pictures},builtin:rocket", *TINY, "retry=failed"]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "sweep: 1 completed, 1 finished before, 1 skipped" in told
    assert len(runs(tmp_path / "outputs")) == 2  # none of the rocket
    assert (coffee / "run.json").stat().st_mtime_ns == began

    assert invoke([*TINY, "retry=failed", "style=waves"]) == 0
    assert capsys.readouterr().out == ""  # nothing was run
    assert invoke([*TINY, "weights.style=1e39"]) == 1
    assert invoke([*TINY, "weights.style=1e39", "retry=failed"]) == 1  # tried again
    assert "not finite" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("harm", ["cut", "altered", "empty", "list"])
def test_a_harmed_run_json_is_set_aside(
    harm: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = prepared(*TINY, f"outputs={tmp_path}")
    (folder,) = execute([run])
    before, path = contents(folder), folder / "run.json"
    text = path.read_text()
    steps = '"steps": 6'
    assert steps in text
    harmed = {"cut": text[:200], "altered": text.replace(steps, '"steps": 7'), "empty": ""}
    path.write_text(harmed.get(harm, "[]"))
    execute([run])
    assert f"{path}: refused, it was cut short or altered" in caplog.text
    assert path.with_suffix(".refused").read_text() == harmed.get(harm, "[]")
    assert contents(folder) == before


def test_a_finished_run_without_its_picture_is_not_finished(tmp_path: Path) -> None:
    run = prepared(*TINY, f"outputs={tmp_path}")
    (folder,) = execute([run])
    before = contents(folder)
    (folder / "final.png").unlink()
    execute([run])
    assert contents(folder) == before


def test_the_run_folder_vanishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Someone cleans up while a run is going."""
    plain = RunWriter.snapshot

    def snapshot(writer: RunWriter, step: int, image: Tensor) -> None:
        plain(writer, step, image)
        shutil.rmtree(writer.folder.path)

    monkeypatch.setattr(RunWriter, "snapshot", snapshot)
    monkeypatch.chdir(tmp_path)
    assert invoke([*TINY]) == 1
    told = capsys.readouterr().err
    last = told.strip().splitlines()[-1]
    assert last.startswith("nst: outputs/runs/")
    assert "no such file or directory" in last
    assert "Traceback" not in told
