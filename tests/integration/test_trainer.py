"""Lightning's Trainer: nothing in its config changes the picture unnoticed, and callbacks work."""

from __future__ import annotations

import csv
import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import lightning as L
import pytest
import torch
from lightning.pytorch import callbacks
from lightning.pytorch.loggers.logger import DummyLogger

from nst.cli import main
from nst.config.schema import Config
from nst.runner.record import COMPLETED, read_facts
from nst.runner.resolve import device
from nst.runner.signature import signature
from nst.runner.trainer import ARGUMENTS, NEED_LOGGER, REFUSED_CALLBACKS, build_trainer
from nst.utils.errors import ConfigError, NstError
from tests.helpers import config, execute, nst, prepared

SMALL = ("image.size=32", "steps=4", "init=noise", "layers.style=[conv1_1]")
LIGHTNING = "lightning.pytorch.callbacks"

WORKING = {
    *("BasePredictionWriter", "Callback", "Checkpoint", "DeviceStatsMonitor", "LambdaCallback"),
    *("LearningRateMonitor", "ModelCheckpoint", "ModelSummary", "RichModelSummary"),
    *("SpikeDetection", "ThroughputMonitor", "Timer"),
}
"""Lightning's callbacks that were tried and work; ``Checkpoint`` with enable_checkpointing."""


@pytest.fixture(scope="module")
def plain() -> Config:
    return config(*SMALL, "logger=none")


def _with(plain: Config, **arguments: Any) -> Config:
    return replace(plain, trainer={**plain.trainer, **arguments})


def test_the_table_has_every_argument() -> None:
    assert list(ARGUMENTS) == [*inspect.signature(L.Trainer.__init__).parameters][1:]


def test_every_callback_works_or_is_refused() -> None:
    refused = {
        name
        for name in callbacks.__all__
        if issubclass(getattr(callbacks, name), tuple(REFUSED_CALLBACKS))
    }
    assert refused | WORKING == set(callbacks.__all__)
    assert not refused & WORKING
    assert {kind.__name__ for kind in NEED_LOGGER} <= WORKING


@pytest.mark.parametrize(
    ("argument", "value", "instead"),
    [
        ("gradient_clip_val", 0.5, "optimizer.lr"),
        ("gradient_clip_algorithm", "value", "optimizer.lr"),
        ("accumulate_grad_batches", 2, "every step"),
        ("precision", "bf16-mixed", "precision=bf16"),
        ("precision", 64, "precision=32"),
        ("plugins", [{"_target_": "lightning.pytorch.plugins.DoublePrecision"}], "precision=32"),
        ("max_epochs", 2, "steps"),
        ("max_epochs", -1, "steps"),
        ("min_epochs", 1, "steps"),
        ("min_steps", 3, "steps"),
        ("overfit_batches", 1, "steps"),
        ("fast_dev_run", True, "steps=1"),
        ("max_steps", 0, "no step"),
        ("limit_train_batches", 0, "no step"),
        ("val_check_interval", 100, "validation"),
        ("logger", True, "logger=csv"),
        ("enable_progress_bar", True, "of its own"),
        ("num_nodes", 2, "CUDA_VISIBLE_DEVICES"),
        ("strategy", "ddp_spawn", "CUDA_VISIBLE_DEVICES"),
        (
            "strategy",
            {"_target_": "lightning.pytorch.strategies.DDPStrategy"},
            "CUDA_VISIBLE_DEVICES",
        ),
    ],
)
def test_what_would_change_the_picture_is_refused(
    argument: str, value: object, instead: str, plain: Config
) -> None:
    with pytest.raises(ConfigError) as refusal:
        build_trainer(_with(plain, accelerator="cpu", **{argument: value}))
    assert str(refusal.value).startswith(f"trainer.{argument}={value}: ")
    assert instead in str(refusal.value)


def test_a_run_has_one_device() -> None:
    assert device({"accelerator": "cpu", "devices": 1}).type == "cpu"
    with pytest.raises(ConfigError, match=r"^trainer\.devices=2: .*CUDA_VISIBLE_DEVICES"):
        device({"accelerator": "cpu", "devices": 2})
    with pytest.raises(ConfigError, match=r"'devices': 0\}: `Trainer\(devices=0\)` value is not"):
        device({"accelerator": "cpu", "devices": 0})


@pytest.mark.parametrize("argument", ["devices=2", "num_nodes=2", "gradient_clip_val=0.5"])
def test_refused_before_there_is_a_folder(
    argument: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    status = main.invoke(
        [*SMALL, "logger=none", "trainer.accelerator=cpu", f"++trainer.{argument}"]
    )
    out, err = capfd.readouterr()
    assert status == 2
    assert out == ""
    assert err.startswith(f"nst: trainer.{argument}: ")
    assert err.count("\n") == 1
    assert not Path("outputs").exists()


def test_defaults_of_lightning_are_not_refused(
    plain: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They mean what our config says, and the environment cannot set what the config may not."""
    monkeypatch.setenv("PL_TRAINER_GRADIENT_CLIP_VAL", "0.5")
    monkeypatch.setenv("PL_TRAINER_ACCUMULATE_GRAD_BATCHES", "2")
    parameters = inspect.signature(L.Trainer.__init__).parameters
    defaults = {name: parameters[name].default for name in ARGUMENTS} | {"devices": 1}
    made = build_trainer(_with(plain, **defaults))
    assert made.max_epochs == 1
    assert made.gradient_clip_val is None
    assert made.accumulate_grad_batches == 1
    assert made.progress_bar_callback is None
    assert made.loggers == []


def test_spellings_of_the_default(plain: Config) -> None:
    made = build_trainer(_with(plain, precision="32-true", strategy="ddp", accelerator="cpu"))
    assert type(made.strategy).__name__ == "SingleDeviceStrategy"
    assert type(made.precision_plugin).__name__ == "Precision"


NEUTRAL = {
    "deterministic": "false",
    "benchmark": "true",
    "detect_anomaly": "true",
    "inference_mode": "false",
    "profiler": "simple",
    "log_every_n_steps": "3",
    "num_sanity_val_steps": "5",
    "limit_val_batches": "1",
    "reload_dataloaders_every_n_epochs": "1",
    "sync_batchnorm": "true",
    "use_distributed_sampler": "false",
    "enable_model_summary": "true",
    "max_time": "{hours: 1}",
    "max_steps": "4",
}


def test_what_is_neutral_is_and_the_profiler_reports(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Same signature, same picture; the summary of the profiler is on stderr."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    benchmark = torch.backends.cudnn.benchmark
    found = {}
    try:
        for name, arguments in (("plain", {}), ("neutral", NEUTRAL)):
            more = [f"++trainer.{key}={value}" for key, value in arguments.items()]
            outputs = tmp_path / name
            assert main.invoke([*SMALL, "logger=none", f"outputs={outputs}", *more]) == 0
            out, err = capfd.readouterr()
            folder = Path(out.splitlines()[-1])
            assert folder.parent == outputs / "runs"
            assert err.count("FIT Profiler Report") == (name == "neutral")
            assert "Profiler" not in out
            found[name] = folder.name, (folder / "final.png").read_bytes()
    finally:
        torch.use_deterministic_algorithms(deterministic)
        torch.backends.cudnn.benchmark = benchmark
    assert found["neutral"] == found["plain"]


def test_callbacks_are_part_of_the_signature() -> None:
    """Those of a run; a run without has the signature that it always had."""
    run = prepared(*SMALL)

    def of(**arguments: Any) -> str:
        return signature(replace(run, config=_with(run.config, **arguments)))

    plain, timer = of(), {"_target_": f"{LIGHTNING}.Timer"}
    assert of(callbacks=[]) == of(callbacks=None) == of(profiler="simple") == plain
    others = [
        of(callbacks=[timer]),
        of(callbacks=[{**timer, "interval": "epoch"}]),
        of(_target_="tests.integration.test_trainer.OtherTrainer"),
        of(_target_="tests.integration.test_trainer.OtherTrainer", own=1),
    ]
    assert len({plain, *others}) == 5


class OtherTrainer(L.Trainer):
    """Whatever it does, it has a signature of its own."""


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        *(({"_target_": f"{LIGHTNING}.{kind.__name__}"}, "logger=csv") for kind in NEED_LOGGER),
        (
            {"_target_": f"{LIGHTNING}.GradientAccumulationScheduler", "scheduling": {0: 2}},
            "every step",
        ),
        ({"_target_": f"{LIGHTNING}.EarlyStopping", "monitor": "loss/total"}, "divergence"),
        ({"_target_": f"{LIGHTNING}.EMAWeightAveraging"}, "average"),
        ({"_target_": f"{LIGHTNING}.RichProgressBar"}, "of its own"),
        ({"_target_": f"{LIGHTNING}.ModelCheckpoint"}, "enable_checkpointing"),
        ({"_target_": f"{LIGHTNING}.Nothing"}, "Nothing"),
        (5, "is not a lightning.pytorch.Callback"),
    ],
    ids=lambda each: str(each)[:60],
)
def test_callbacks_that_are_refused(node: object, reason: str, plain: Config) -> None:
    with pytest.raises(ConfigError, match="trainer") as refusal:
        build_trainer(_with(plain, callbacks=[node]))
    assert reason in str(refusal.value)


class Kept(DummyLogger):
    """A logger that keeps what it is given."""

    calls: ClassVar[list[tuple[int, dict[str, float]]]] = []

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        assert step is not None
        self.calls.append((step, dict(metrics)))

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        pass

    def log_image(self, *args: Any, **kwargs: Any) -> None:
        pass

    def finalize(self, status: str) -> None:
        pass


class Monitor(callbacks.Callback):
    """Checks the metrics that it finds, and logs them."""

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        assert len(trainer.loggers) == 1

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        found = trainer.callback_metrics["loss/total"]
        assert found.item() == outputs["losses"]["total"].mean().item()
        for logger in trainer.loggers:
            logger.log_metrics({"seen": found.item()}, step=batch)


def test_callbacks_that_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a run that is resumed as well, each step's values come together and in order."""
    monkeypatch.setattr(Kept, "calls", [])
    targets = [
        "tests.integration.test_trainer.Monitor",
        f"{LIGHTNING}.LearningRateMonitor",
        f"{LIGHTNING}.DeviceStatsMonitor, cpu_stats: false",
    ]
    listed = ",".join(f"{{_target_: {target}}}" for target in targets)
    asked = [
        *(*SMALL, "logger=none", f"outputs={tmp_path}", f"+trainer.callbacks=[{listed}]"),
        "+logger.kept._target_=tests.integration.test_trainer.Kept",
    ]
    with pytest.raises(NstError, match="stopped by the Trainer"):
        execute([prepared(*asked, "+trainer.max_steps=2")])
    (folder,) = (tmp_path / "runs").iterdir()
    assert len((folder / "metrics.csv").read_text().splitlines()) == 3
    before = len(Kept.calls)
    assert execute([prepared(*asked)]) == [folder]
    assert read_facts(folder)["status"] == COMPLETED
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        totals = [float(row["loss/total"]) for row in csv.DictReader(file)]
    assert len(totals) == 5
    # resumed, the first attempt's rows are logged again
    for calls in (Kept.calls[:before], Kept.calls[before:]):
        steps = [step for step, _ in calls]
        assert steps == sorted(steps)
        for key in ("lr-LBFGS", "loss/total"):
            assert any(key in metrics for _, metrics in calls)
    seen = {step: row["seen"] for step, row in Kept.calls if "seen" in row}
    assert seen == {step: pytest.approx(totals[step]) for step in range(4)}
    rates = {step for step, row in Kept.calls if "lr-LBFGS" in row}
    assert rates == {0, 1, 2, 3}


CLUSTER = {
    **{"RANK": "1", "LOCAL_RANK": "1", "GROUP_RANK": "1", "NODE_RANK": "1", "WORLD_SIZE": "4"},
    **{"MASTER_ADDR": "203.0.113.1", "MASTER_PORT": "1", "TORCHELASTIC_RUN_ID": "x"},
    **{"SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "3", "SLURM_NODEID": "1"},
    **{"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "x", "JSM_NAMESPACE_RANK": "1"},
}


def test_variables_of_a_cluster(tmp_path: Path) -> None:
    """One process is one run; a checkpoint that Lightning left for a requeued job is not ours."""
    torch.save({"pytorch-lightning_version": "2.6.6"}, tmp_path / "hpc_ckpt_1.ckpt")
    ended = nst(*SMALL, "logger=csv", "trainer.accelerator=cpu", cwd=tmp_path, **CLUSTER)
    assert ended.returncode == 0, ended.stderr
    assert "srun" not in ended.stderr
    logged = tmp_path / ended.stdout.splitlines()[-1] / "csv" / "metrics.csv"
    with logged.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["loss/total"]]
    assert [int(row["step"]) for row in rows] == [0, 1, 2, 3, 4]
