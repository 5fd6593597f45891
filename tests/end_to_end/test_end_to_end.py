"""The command as a user types it: folders, trackers, sweeps, pictures."""

from __future__ import annotations

import csv
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from nst.cli.main import invoke
from nst.runner.execute import compute
from nst.runner.folder import RunFolder, place
from nst.runner.identify import identify
from nst.runner.outcome import FINISHED_BEFORE, Outcome
from nst.runner.record import COMPLETED, read_status
from nst.sweeps import sweep_folder
from nst.utils.errors import NstError
from tests.helpers import execute, first_of, nst, prepared
from tests.run_folders import two_names, wandb_history, wandb_records

SHALLOW = ("layers.style=[conv1_1]", "layers.content=[conv2_1]")
TINY = ("image.size=48", "steps=6", "snapshot_every=4")


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """``nst -m init=noise,content``, in one process, from an empty folder."""
    folder = tmp_path_factory.mktemp("sweep")
    ended = nst("-m", "init=noise,content", *TINY, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return folder, ended


def _runs(folder: Path) -> list[Path]:
    noise = sorted((folder / "outputs" / "runs").glob("*-noise-*"))
    content = sorted((folder / "outputs" / "runs").glob("*-content-*"))
    assert len(noise) == len(content) == 1
    return [*noise, *content]


def test_run_folder(sweep: tuple[Path, Any]) -> None:
    for run in _runs(sweep[0]):
        assert run.name.startswith("style_transfer-chelsea-brushstrokes-")
        facts = json.loads((run / "run.json").read_text())
        assert facts["status"] == "completed"
        assert facts["steps"] == 6
        assert facts["seconds"] > 0
        assert run.name.endswith(facts["signature"])
        assert {"device", "precision", "packages", "git_commit", "weights_sha256"} <= set(facts)
        assert facts["processor"] and facts["threads"] >= 1
        assert facts["instruction_sets"][0] == torch.backends.cpu.get_cpu_capability()
        config = yaml.safe_load((run / "config.yaml").read_text())
        assert config["image"]["size"] == 48
        assert config["logger"]["wandb"]["name"] == run.name  # resolved

        rows = _rows(run)
        assert [int(row["step"]) for row in rows] == list(range(7))
        assert facts["losses"]["loss/total"] == pytest.approx(float(rows[-1]["loss/total"]))
        assert {
            "seconds",
            "lr",
            "loss/content",
            "loss/style",
            "loss/tv",
            "loss/style/relu1_1",
            "loss/style/relu5_1",
        } <= set(rows[0])
        total = float(rows[3]["loss/content"]) + 1.5e5 * float(rows[3]["loss/style"])
        assert float(rows[3]["loss/total"]) == pytest.approx(total, rel=1e-4)
        assert float(rows[-1]["loss/total"]) < float(rows[0]["loss/total"])

        snapshots = sorted(path.name for path in (run / "snapshots").iterdir())
        assert snapshots == ["00000.png", "00004.png", "00006.png"]
        assert (run / "final.png").read_bytes() == (run / "snapshots/00006.png").read_bytes()
        with Image.open(run / "final.png") as image:
            assert image.size == (72, 48)  # the content's aspect
        assert {path.name for path in (run / "inputs").iterdir()} == {"content.png", "style.png"}
        assert not list(run.rglob("*.tmp"))


def test_start_from_noise_and_content(sweep: tuple[Path, Any]) -> None:
    noise, content = _runs(sweep[0])
    with (
        Image.open(content / "snapshots/00000.png") as image,
        Image.open(content / "inputs/content.png") as picture,
    ):
        assert np.array_equal(np.array(image), np.array(picture))
    with Image.open(noise / "snapshots/00000.png") as image:
        assert np.array(image).std() > 60


def test_two_runs_in_one_process_are_two_wandb_runs(sweep: tuple[Path, Any]) -> None:
    ids = set()
    for run in _runs(sweep[0]):
        records = wandb_records(run)
        (started,) = [record["run"] for record in records if "run" in record]
        ids.add(started["run_id"])
        assert started["project"] == "nst"
        assert started["display_name"] == run.name
        assert started["job_type"] == "style_transfer"
        assert started["run_group"] == next((sweep[0] / "outputs/sweeps").iterdir()).name
        assert f"init={run.name.split('-')[3]}" in started["tags"]
    assert len(ids) == 2


def test_wandb_has_losses_and_images_at_their_steps(sweep: tuple[Path, Any]) -> None:
    for run in _runs(sweep[0]):
        history = wandb_history(wandb_records(run))
        rows = _rows(run)
        assert sorted(history) == list(range(7))
        for step, items in history.items():
            assert items["loss/total"] == pytest.approx(float(rows[step]["loss/total"]))
            assert items["loss/style/relu3_1"] == pytest.approx(
                float(rows[step]["loss/style/relu3_1"])
            )
            assert items["trainer/global_step"] == step
            assert items["lr"] == 1.0
            pictures = {key.split(".")[0] for key in items if key.endswith("._type")}
            expected = {"snapshot"} if step in (0, 4, 6) else set()
            expected |= {"content", "style"} if step == 0 else set()
            assert pictures == expected | ({"final"} if step == 6 else set())
        (files,) = run.glob("wandb/offline-run-*/files")
        for step in (0, 4, 6):
            (logged,) = history[step]["snapshot.filenames"]
            kept = run / "snapshots" / f"{step:05d}.png"
            assert (files / logged).read_bytes() == kept.read_bytes()


def test_wandb_has_the_whole_config(sweep: tuple[Path, Any]) -> None:
    for run in _runs(sweep[0]):
        config: dict[str, Any] = {}
        for record in wandb_records(run):
            config |= record.get("config", {}).get("update", {})
        assert config == yaml.safe_load((run / "config.yaml").read_text())
        assert config["logger"]["wandb"]["name"] == run.name


def test_a_sweep_ends_with_one_picture_and_the_folders(sweep: tuple[Path, Any]) -> None:
    folder, ended = sweep
    lines = ended.stdout.strip().splitlines()
    assert lines[-2:] == [str(run.relative_to(folder)) for run in _runs(folder)]
    (line,) = [line for line in lines if line.startswith("side by side: ")]
    with Image.open(folder / line.removeprefix("side by side: ")) as picture:
        pixels = np.array(picture.convert("RGB")).astype(int)
    assert pixels.shape[1] > 4 * 180
    # the columns hold pictures, not paper: below the header, most of it is not white
    assert (pixels[40:, 200:].min(axis=2) < 240).mean() > 0.5


def test_asking_again_returns_the_finished_runs(sweep: tuple[Path, Any]) -> None:
    folder, _ = sweep
    before = {run: (run / "run.json").stat().st_mtime_ns for run in _runs(folder)}
    again = nst("init=noise", *TINY, cwd=folder)
    assert again.returncode == 0
    assert "already finished" in again.stderr
    assert again.stdout.strip() == str(_runs(folder)[0].relative_to(folder))
    assert {run: (run / "run.json").stat().st_mtime_ns for run in _runs(folder)} == before


def test_same_command_same_picture_bit_for_bit(sweep: tuple[Path, Any], tmp_path: Path) -> None:
    ended = nst("init=noise", *TINY, "logger=none", cwd=tmp_path)
    folder = tmp_path / ended.stdout.strip()
    assert (folder / "final.png").read_bytes() == (_runs(sweep[0])[0] / "final.png").read_bytes()
    mine, theirs = _rows(folder), _rows(_runs(sweep[0])[0])
    assert [row["loss/total"] for row in mine] == [row["loss/total"] for row in theirs]
    assert not (folder / "wandb").exists()


@pytest.mark.parametrize(
    "overrides",
    [
        ["task=texture_synthesis", "init=noise", "schedule=pyramid", "image.size=64"],
        ["task=content_reconstruction", "layers.content=[conv4_2]", "init=noise"],
        ["optimizer=adam", "init=blend", "logger=csv"],
        ["optimizer=lbfgs_textbook", "normalize=textbook", "weights.style=300", "init=noise"],
        ["precision=bf16", "init=style", "style=waves", "style.size=40", *SHALLOW],
    ],
    ids=" ".join,
)
def test_other_tasks_and_settings(overrides: list[str], tmp_path: Path) -> None:
    (folder,) = execute([prepared(*TINY, "logger=none", f"outputs={tmp_path}", *overrides)])
    facts = json.loads((folder / "run.json").read_text())
    assert facts["status"] == "completed"
    rows = _rows(folder)
    if "schedule=pyramid" not in overrides:  # each scale has its own loss
        first, *rest = (float(row["loss/total"]) for row in rows)
        assert min(rest) < first  # the textbook's L-BFGS may overshoot at the last step
    if "task=texture_synthesis" in overrides:
        with Image.open(folder / "final.png") as image:
            assert image.size == (64, 64)  # the style's aspect
        assert "loss/content/relu4_2" not in rows[0]
        sizes = [Image.open(path).size for path in sorted((folder / "snapshots").iterdir())]
        assert sizes == [(16, 16), (64, 64), (64, 64)]
    if "logger=csv" in overrides:
        with (folder / "csv" / "metrics.csv").open() as file:
            logged = [row for row in csv.DictReader(file) if row["loss/total"]]
        assert [row["loss/total"] for row in logged] == [row["loss/total"] for row in rows]
    if "precision=bf16" in overrides:
        assert facts["precision"] == "bf16"


def test_a_sweep_goes_on_after_a_failed_run(tmp_path: Path) -> None:
    ended = nst(
        "-m",
        "content.path=missing.jpg,builtin:coffee",
        *TINY,
        *SHALLOW,
        "logger=none",
        cwd=tmp_path,
    )
    assert ended.returncode == 2
    assert "content.path=missing.jpg: no such file" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "content.path=missing.jpg failed" in " ".join(ended.stderr.split())
    assert "sweep: 1 failed, 1 completed" in ended.stderr
    (run,) = (tmp_path / "outputs" / "runs").iterdir()
    assert json.loads((run / "run.json").read_text())["status"] == "completed"
    assert ended.stdout.strip().splitlines()[-1] == str(run.relative_to(tmp_path))


@pytest.mark.parametrize("launcher", first_of(["basic", "vectorized"]))
def test_sweeps_of_the_same_second_have_folders_of_their_own(launcher: str, tmp_path: Path) -> None:
    sweeps = tmp_path / "it's here" / "sweeps"
    now = datetime.now()
    for seconds in range(600):
        name = f"sweep-{now + timedelta(seconds=seconds):%Y-%m-%d_%H-%M-%S}"
        (sweeps / name).mkdir(parents=True)
    tiny = (*SHALLOW, "image.size=32", "steps=2", "logger=none", f"hydra/launcher={launcher}")
    ended = nst("-m", "seed=0,1", "init=noise", *tiny, r"outputs='it\'s here'", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    (own,) = sweeps.glob("sweep-*-2")
    assert {path.name for path in own.iterdir()} >= {"jobs.json", "outcomes", "side_by_side.png"}
    assert len(sweep_folder.outcomes(own)) == 2
    assert [path for path in sweeps.iterdir() if path != own and any(path.iterdir())] == []
    for run in (tmp_path / "it's here" / "runs").iterdir():
        assert yaml.safe_load((run / "config.yaml").read_text())["run"]["group"] == own.name


def test_a_chosen_sweep_folder_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hydra's key for it, twice."""
    monkeypatch.chdir(tmp_path)
    tiny = (*SHALLOW, "image.size=32", "steps=2", "logger=none", "hydra.sweep.dir=mine")
    for seed in ("0", "1"):
        assert invoke(["-m", f"seed={seed}", "init=noise", *tiny]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "outputs"}
    # those of the second sweep alone
    assert [each.number for each in sweep_folder.outcomes(tmp_path / "mine")] == [0]


def test_divergence_is_recorded(tmp_path: Path) -> None:
    ended = nst(*TINY, *SHALLOW, "logger=none", "weights.style=1e39", cwd=tmp_path)
    assert ended.returncode == 1
    assert "not finite at step 0" in ended.stderr
    assert "Traceback" not in ended.stderr
    (run,) = (tmp_path / "outputs" / "runs").iterdir()
    facts = json.loads((run / "run.json").read_text())
    assert facts["status"] == "diverged"
    assert "step 0" in facts["reason"]
    assert not (run / "final.png").exists()
    assert read_status(run) != COMPLETED  # asked for again, it is run again


def test_force_runs_beside(tmp_path: Path) -> None:
    settings = [*TINY, *SHALLOW, "logger=none", f"outputs={tmp_path}"]
    (first,) = execute([prepared(*settings)])
    (again,) = execute([prepared(*settings)])
    (second,) = execute([prepared(*settings, "force=true")])
    assert again == first
    assert second.name == f"{first.name}-2"
    assert (first / "final.png").read_bytes() == (second / "final.png").read_bytes()


def test_a_renamed_picture_is_the_same_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Resumed, finished, forced, and made by another process in the meantime."""
    caplog.set_level("INFO")
    settings = (*SHALLOW, "image.size=32", "steps=4", "logger=none", f"outputs={tmp_path}")
    one, two = two_names(tmp_path)
    with pytest.raises(NstError, match="stopped by the Trainer"):
        execute([prepared(*settings, one, "+trainer.max_steps=2")])
    (first,) = execute([prepared(*settings, two)])
    assert f"resuming from step 2: {first}" in caplog.text
    assert first.name.startswith("style_transfer-one-brushstrokes-")
    assert execute([prepared(*settings, one)]) == execute([prepared(*settings, two)]) == [first]
    (second,) = execute([prepared(*settings, two, "force=true")])
    assert second.name == f"{first.name.replace('-one-', '-two-')}-2"
    (third,) = execute([prepared(*settings, one, "force=true")])
    assert third.name == f"{first.name}-3"
    assert execute([prepared(*settings, two)]) == [first]

    late = identify(prepared(*settings, two, "init=noise"))
    (early,) = execute([prepared(*settings, one, "init=noise")])
    assert compute([late]) == [Outcome(FINISHED_BEFORE, None, early)]
    assert len(list((tmp_path / "runs").iterdir())) == 4


@pytest.mark.parametrize(
    ("there", "force", "expected"),
    [
        ({}, False, "two-abc"),
        ({}, True, "two-abc"),
        ({"one-abc": True}, False, "one-abc"),
        ({"one-abc": True}, True, "two-abc-2"),
        ({"one-abc": False}, True, "one-abc"),
        ({"one-abc": False, "two-abc": True}, False, "two-abc"),
        ({"one-abc": True, "two-abc": True}, False, "two-abc"),  # from before they were one
        ({"one-abc": True, "two-abc": False}, False, "one-abc"),
        ({"one-abc": True, "two-abc-2": True}, False, "one-abc"),
        ({"one-abc": True, "two-abc-2": False}, True, "two-abc-2"),
        ({"one-abc": True, "two-abc-10": True}, True, "two-abc-11"),
        ({"one-abc-2": True}, False, "one-abc-2"),
        ({"one-abd": True, "abc": True, "one-abc-x": True, "oneabc": True}, False, "two-abc"),
    ],
)
def test_a_run_folder_is_found_by_its_signature(
    there: dict[str, bool], force: bool, expected: str, tmp_path: Path
) -> None:
    for name, done in there.items():
        folder = RunFolder(tmp_path / name)
        folder.path.mkdir()
        folder.update(status=COMPLETED if done else "interrupted")
        (folder.path / "final.png").touch()
    assert place(tmp_path, "two", "abc", force) == tmp_path / expected
