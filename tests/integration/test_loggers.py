"""Trackers other than W&B, each read with its own reader; resumed runs and broken trackers."""

from __future__ import annotations

import csv
import os
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.logger import DummyLogger
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nst.cli.main import invoke
from nst.loggers.base import SafeLogger, guarded
from nst.loggers.mlflow import IDENTITY, MLFlowLogger
from nst.loggers.tensorboard import TensorBoardLogger
from nst.runner.record import COMPLETED, FAILED, INTERRUPTED, read_facts, read_status
from nst.utils.errors import ArgumentError, ConfigError, DivergedError, NstError
from tests.helpers import WILD, execute, nst, prepared
from tests.run_folders import wandb_history, wandb_records

TINY = ("image.size=32", "steps=3", "snapshot_every=2")
THREE = "logger=[csv,tensorboard,mlflow]"
MLFLOW = ("logger=mlflow", "init=noise")
URI = "logger.mlflow.tracking_uri"

Pictures = dict[str, dict[int, np.ndarray]]


@dataclass
class Logged:
    """What a tracker has of a run: by key, then by step. Nothing may be there twice."""

    metrics: dict[str, dict[int, float]] = field(default_factory=dict)
    pictures: Pictures = field(default_factory=dict)

    def add(self, known: dict[str, dict[int, Any]], key: str, step: int, value: Any) -> None:
        steps = known.setdefault(key, {})
        assert step not in steps, f"{key} has step {step} twice"
        steps[step] = value


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where MLflow keeps all runs of this module: making a database takes seconds."""
    return tmp_path_factory.mktemp("mlflow")


def settings(outputs: Path, store: Path) -> list[str]:
    return [*TINY, f"outputs={outputs}", f"logger.mlflow.save_dir={store}"]


def client(store: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{store}/mlflow.db")


def mlflow_run(folder: Path, store: Path) -> MlflowRun:
    """The one MLflow run of a run folder."""
    found = client(store)
    identity = read_facts(folder)["wandb_id"]
    experiment = found.get_experiment_by_name("nst")
    assert experiment is not None
    (run,) = found.search_runs([experiment.experiment_id], f"tags.`{IDENTITY}` = '{identity}'")
    return run


def from_mlflow(folder: Path, store: Path) -> Logged:
    run, found, logged = mlflow_run(folder, store).info.run_id, client(store), Logged()
    for key in found.get_run(run).data.metrics:
        for metric in found.get_metric_history(run, key):
            logged.add(logged.metrics, key, metric.step, metric.value)
    for item in found.list_artifacts(run, "images"):
        named = re.fullmatch(
            r"images/(\w+)\+step\+(\d+)\+timestamp\+.*(?<!compressed)\.png", item.path
        )
        if named:
            with Image.open(found.download_artifacts(run, item.path)) as image:
                logged.add(logged.pictures, named[1], int(named[2]), np.array(image))
    return logged


def from_tensorboard(folder: Path, store: Path) -> Logged:
    everything = {"scalars": 0, "images": 0}
    found, logged = EventAccumulator(str(folder / "tensorboard"), everything).Reload(), Logged()
    for key in found.Tags()["scalars"]:
        for scalar in found.Scalars(key):
            logged.add(logged.metrics, key, scalar.step, scalar.value)
    path = folder.parent / "read.png"
    for key in found.Tags()["images"]:
        for event in found.Images(key):
            path.write_bytes(event.encoded_image_string)
            with Image.open(path) as image:
                logged.add(logged.pictures, key, event.step, np.array(image))
    path.unlink(missing_ok=True)
    return logged


def from_csv(folder: Path, store: Path) -> Logged:
    logged = Logged()
    for row in rows(folder / "csv" / "metrics.csv"):
        for key, value in row.items():
            if key != "step" and value:
                logged.add(logged.metrics, key, int(row["step"]), float(value))
    return logged


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


READERS: dict[str, Callable[[Path, Path], Logged]] = {
    "csv": from_csv,
    "tensorboard": from_tensorboard,
    "mlflow": from_mlflow,
}


def check_whole(logged: Logged, folder: Path, pictures: bool = True) -> None:
    """The same keys, steps, values and pixels as the run folder has."""
    expected: dict[str, dict[int, float]] = {}
    for row in rows(folder / "metrics.csv"):
        for key, value in row.items():
            if key != "step":
                expected.setdefault(key, {})[int(row["step"])] = float(value)
    facts = read_facts(folder)
    for key, value in facts["measures"].items():
        expected[f"measure/{key}"] = {facts["steps"]: value}
    assert {"loss/total", "loss/style/relu1_1", "seconds", "lr", "measure/ssim"} <= set(expected)
    assert set(logged.metrics) == set(expected)
    for key, steps in expected.items():
        assert logged.metrics[key] == pytest.approx(steps, rel=1e-6), key  # float32 in TensorBoard
    if pictures:
        kept = {"snapshot": {int(path.stem): path for path in (folder / "snapshots").iterdir()}}
        kept |= {path.stem: {0: path} for path in (folder / "inputs").iterdir()}
        kept["final"] = {facts["steps"]: folder / "final.png"}
        assert {key: set(steps) for key, steps in logged.pictures.items()} == {
            key: set(steps) for key, steps in kept.items()
        }
        for key, paths in kept.items():
            for step, path in paths.items():
                with Image.open(path) as image:
                    assert np.array_equal(logged.pictures[key][step], np.array(image)), (key, step)


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory, store: Path) -> list[Path]:
    """Two runs in one batch, logged to three trackers."""
    common = [*settings(tmp_path_factory.mktemp("batch"), store), THREE, "init=noise"]
    return execute([prepared(*common, f"seed={seed}") for seed in (0, 1)], group="evening")


@pytest.mark.parametrize("tracker", READERS)
def test_a_tracker_has_what_the_folder_has(tracker: str, batch: list[Path], store: Path) -> None:
    for folder in batch:
        check_whole(READERS[tracker](folder, store), folder, pictures=tracker != "csv")


def test_mlflow_has_the_facts_of_the_run(batch: list[Path], store: Path) -> None:
    for folder in batch:
        run = mlflow_run(folder, store)
        assert run.info.run_name == folder.name
        assert run.info.status == "FINISHED"
        assert run.data.tags["group"] == "evening"
        assert run.data.tags["init"] == "noise"
        config = yaml.safe_load((folder / "config.yaml").read_text())
        assert run.data.params == {
            "weights.style": str(config["weights"]["style"]),
            "image.size": "32",
            "steps": "3",
            "seed": str(config["seed"]),
        }
        path = client(store).download_artifacts(run.info.run_id, "config.yaml")
        assert yaml.safe_load(Path(path).read_text()) == config


def test_tensorboard_compares_runs_by_their_config(batch: list[Path]) -> None:
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    for seed, folder in enumerate(batch):
        found = EventAccumulator(str(folder / "tensorboard")).Reload().summary_metadata
        content = found["_hparams_/session_start_info"].plugin_data.content
        logged = HParamsPluginData.FromString(content).session_start_info.hparams
        assert logged["seed"].number_value == seed
        assert logged["init/name"].string_value == "noise"


def test_nothing_is_set_for_the_whole_process(batch: list[Path]) -> None:
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_many_is_wandb_csv_and_tensorboard(tmp_path: Path) -> None:
    ended = nst(*TINY, "logger=many", cwd=tmp_path, WANDB_MODE="offline")
    assert ended.returncode == 0, ended.stderr
    folder = tmp_path / ended.stdout.strip()
    check_whole(from_csv(folder, tmp_path), folder, pictures=False)
    tensorboard = from_tensorboard(folder, tmp_path)
    check_whole(tensorboard, folder)
    history = wandb_history(wandb_records(folder))
    assert sorted(history) == [0, 1, 2, 3]
    for step, items in history.items():
        pictures = {key.split(".")[0] for key in items if key.endswith("._type")}
        assert pictures == {key for key, steps in tensorboard.pictures.items() if step in steps}


@pytest.mark.parametrize("how", ["stopped", "failed"])
def test_a_resumed_run_has_each_step_once(
    how: str, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = [*settings(tmp_path, store), THREE, "steps=6"]
    if how == "stopped":
        with pytest.raises(NstError, match="stopped by the Trainer"):
            execute([prepared(*common, "+trainer.max_steps=4")])
    else:
        with monkeypatch.context() as broken, pytest.raises(OSError, match="no room"):
            broken.setattr("nst.runner.writer.RunWriter.complete", _no_room)
            execute([prepared(*common)])
    (folder,) = (tmp_path / "runs").iterdir()
    assert read_status(folder) == (INTERRUPTED if how == "stopped" else FAILED)
    attempt = mlflow_run(folder, store).info
    assert attempt.status == ("KILLED" if how == "stopped" else "FAILED")
    before = from_tensorboard(folder, store)
    assert set(before.metrics["loss/total"]) == set(range(4 if how == "stopped" else 7))
    execute([prepared(*common)])
    assert read_status(folder) == COMPLETED
    for tracker, read in READERS.items():
        check_whole(read(folder, store), folder, pictures=tracker != "csv")
    assert mlflow_run(folder, store).info.status == "FINISHED"


def _no_room(*arguments: Any, **keywords: Any) -> None:
    raise OSError("no room")


def test_force_is_another_run(tmp_path: Path, store: Path) -> None:
    common = [*settings(tmp_path, store), THREE, "init=noise", "seed=7"]
    folders = execute([prepared(*common)]) + execute([prepared(*common, "force=true")])
    names = {mlflow_run(folder, store).info.run_name for folder in folders}
    assert names == {folder.name for folder in folders}
    assert len(names) == 2


def test_a_run_that_diverges_has_failed(tmp_path: Path, store: Path) -> None:
    exploding = ["init=noise", "steps=20", *WILD]
    with pytest.raises(DivergedError):
        execute([prepared(*settings(tmp_path, store), THREE, *exploding)])
    (folder,) = (tmp_path / "runs").iterdir()
    last = read_facts(folder)["steps"]
    assert mlflow_run(folder, store).info.status == "FAILED"
    with Image.open(folder / "best.png") as image:
        best = np.array(image)
    for logged in (from_tensorboard(folder, store), from_mlflow(folder, store)):
        assert set(logged.metrics["loss/total"]) == set(range(last + 1))
        assert set(logged.pictures["best"]) == {last}
        assert np.array_equal(logged.pictures["best"][last], best)
        assert "final" not in logged.pictures


@pytest.mark.parametrize("tracker", ["tensorboard", "mlflow"])
def test_a_missing_package_is_reported_with_the_command(
    tracker: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, tracker, None)
    monkeypatch.setattr(sys, "argv", ["nst"])
    assert invoke([*TINY, f"logger={tracker}", f"outputs={tmp_path / 'outputs'}"]) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    (line,) = printed.err.strip().splitlines()
    assert line.startswith(f"nst: logger.{tracker}=")
    assert line.endswith(f": needs the package {tracker}: pip install 'nst[{tracker}]'")
    assert not (tmp_path / "outputs").exists()


def test_what_mlflow_cannot_use_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"logger\.mlflow=.*unsupported URI"):
        execute([prepared(*TINY, f"outputs={tmp_path}", *MLFLOW, f"{URI}=gopher://x")])
    assert not (tmp_path / "runs").exists()


def test_arguments_that_a_tracker_would_not_take(tmp_path: Path) -> None:
    """They are refused before the run, which would continue without its tracker."""
    for name in ("", "e" * 501):
        with pytest.raises(ArgumentError, match="1 to 500 characters"):
            MLFlowLogger(save_dir=str(tmp_path / "mlflow"), identity="x", experiment_name=name)
    with pytest.raises(ArgumentError, match=r"flush=1: .* no such argument"):
        TensorBoardLogger(save_dir=str(tmp_path / "tensorboard"), flush=1)
    assert list(tmp_path.iterdir()) == []


def test_no_mlflow_server(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Both runs complete, and each reports the error in one line."""
    common = [*TINY, f"outputs={tmp_path}", *MLFLOW, f"{URI}=http://127.0.0.1:9"]
    folders = [execute([prepared(*common, f"seed={seed}")])[0] for seed in (0, 1)]
    assert [read_status(folder) for folder in folders] == [COMPLETED, COMPLETED]
    logged = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(logged) == 2
    for line in logged:
        assert line.startswith("logging to MLflow is disabled for the rest of this run: ")
        assert "127.0.0.1:9" in line
    assert not list(tmp_path.glob("mlflow*"))


@pytest.mark.parametrize("fails", ["log_batch", "log_image", "set_terminated"])
def test_mlflow_breaks_during_a_run(
    fails: str,
    tmp_path: Path,
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(MlflowClient, fails, _no_room)
    (folder,) = execute([prepared(*settings(tmp_path, store), *MLFLOW)])
    assert read_status(folder) == COMPLETED
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("nst.log")]
    assert logged == ["logging to MLflow is disabled for the rest of this run: no room"]


def test_tensorboard_breaks_during_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter.add_image", _no_room)
    (folder,) = execute([prepared(*TINY, f"outputs={tmp_path}", "logger=tensorboard")])
    assert read_status(folder) == COMPLETED
    assert (
        caplog.text.count("logging to TensorBoard is disabled for the rest of this run: no room")
        == 1
    )


def test_the_address_in_the_environment_is_respected(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}/mlflow.db")
    (folder,) = execute([prepared(*TINY, f"outputs={tmp_path}", *MLFLOW)])
    assert mlflow_run(folder, store).info.run_name == folder.name
    assert not (tmp_path / "mlflow").exists()


class Broken(SafeLogger, DummyLogger):
    """Counts its calls, of which those named ``fails`` raise an error."""

    tracker = "a tracker"

    def __init__(self, *fails: str) -> None:
        super().__init__()
        self.fails, self.calls = fails, Counter[str]()

    def _call(self, name: str) -> None:
        self.calls[name] += 1
        if name in self.fails:
            raise OSError(f"{name}:\nno room")

    def _start(self) -> Any:
        self._call("start")
        return "it"

    @guarded
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self._call("metrics")

    def _log_image(self, key: str, path: str, step: int) -> None:
        self._call("image")
        self.log_metrics({})

    def _close(self, status: str) -> None:
        self._call(status)


@pytest.mark.parametrize("fails", [("start",), ("image",), ("metrics", "failed"), ("failed",)])
def test_a_logger_reports_its_first_error_and_is_disabled(
    fails: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    logger = Broken(*fails)
    for _ in range(2):
        assert logger.experiment == "it" or not logger.active
        logger.log_image("final", ["final.png"], 3)
    logger.finalize("failed")
    assert logger.experiment.log_artifact("final.png") is None  # a stand-in
    (record,) = caplog.records
    message = "logging to a tracker is disabled for the rest of this run"
    assert record.getMessage() == f"{message}: {fails[0]}: no room"
    assert all(logger.calls[name] <= 1 for name in fails)
    assert logger.calls["failed"] == 1  # what is open is closed


def test_a_logger_ends_once() -> None:
    """The Trainer calls the loggers of runs that have ended, for example in another way."""
    logger = Broken()
    for status in ("failed", "success"):
        logger.finalize(status)
        logger.log_metrics({"loss/total": 1.0}, 4)
        logger.log_image("final", ["final.png"], 4)
    assert logger.calls == {"failed": 1}


def test_csv_may_be_ended_twice(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, name="csv", version="")
    logger.log_metrics({"loss/total": 1.0}, 0)
    logger.finalize("failed")
    (path,) = (tmp_path / "csv").rglob("metrics.csv")
    before = path.read_bytes()
    logger.finalize("success")
    assert path.read_bytes() == before
