"""Lightning's Trainer from the config, with arguments that change the picture at most by rounding.

The tables list all arguments and callbacks of the Trainer; the tests compare them with the
installed Lightning.
"""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import lightning as L
from hydra.utils import instantiate
from lightning.pytorch import callbacks

from nst.config.schema import Config
from nst.utils.errors import ConfigError
from nst.utils.single_process import OneProcess

# Lightning prints through handlers of its own. Its messages go where all others do, once, and its
# tips and device lines, which would hide the run's own, go nowhere.
for _name in ("lightning", "lightning.pytorch", "lightning.fabric"):
    logging.getLogger(_name).handlers.clear()
    logging.getLogger(_name).propagate = True
for _name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
    logging.getLogger(_name).setLevel(logging.WARNING)
logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)  # their summaries
warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)`")  # Lightning's own

_LENGTH = "a run is one pass over its steps; set its length with steps"
_CLIPPING = "nst clips no gradients; a smaller optimizer.lr makes smaller steps"
_STOPPING = "would keep a signal from interrupting the run; set its length with steps"
ONE_DEVICE = (
    "a run uses one process and one device; to use several devices, start a process for each, "
    "with its own CUDA_VISIBLE_DEVICES and its own runs"
)
_VALIDATION = "a run has no validation"

ARGUMENTS: dict[str, str | None] = {
    "accelerator": None,
    "strategy": ONE_DEVICE,
    "devices": None,  # several are refused once Lightning has counted them: runs.resolve
    "num_nodes": ONE_DEVICE,
    "precision": "use the key precision instead: precision=32 or precision=bf16",
    "logger": "use the group logger instead: logger=csv, logger=wandb or another",
    "callbacks": None,  # part of the signature; see REFUSED_CALLBACKS
    "fast_dev_run": "set steps=1 logger=none for a trial run",
    "max_epochs": _LENGTH,
    "min_epochs": _STOPPING,
    "max_steps": None,  # this limit and the next ones leave a run interrupted
    "min_steps": _STOPPING,
    "max_time": None,
    "limit_train_batches": None,
    "limit_val_batches": None,
    "limit_test_batches": None,
    "limit_predict_batches": None,
    "overfit_batches": _LENGTH,
    "val_check_interval": _VALIDATION,
    "check_val_every_n_epoch": None,
    "num_sanity_val_steps": None,
    "log_every_n_steps": None,
    "enable_checkpointing": None,
    "enable_progress_bar": "nst has a progress bar of its own",
    "enable_model_summary": None,
    "accumulate_grad_batches": "every step evaluates and updates the whole image",
    "gradient_clip_val": _CLIPPING,
    "gradient_clip_algorithm": _CLIPPING,
    "deterministic": None,  # this and benchmark choose kernels, which differ in rounding
    "benchmark": None,
    "inference_mode": None,
    "use_distributed_sampler": None,
    "profiler": None,
    "detect_anomaly": None,
    "barebones": None,
    "plugins": "for the precision use precision=32 or precision=bf16; nst takes no plugins",
    "sync_batchnorm": None,
    "reload_dataloaders_every_n_epochs": None,
    "default_root_dir": None,
    "enable_autolog_hparams": None,
    "model_registry": None,
}
"""Every argument of the Trainer: None, or why it is refused.

A refused argument may have Lightning's default, the value in ``OURS``, or one in ``SAME``.
"""

OURS: dict[str, Any] = {"max_epochs": 1, "logger": False, "enable_progress_bar": False}
"""Values of refused arguments; all others have Lightning's default."""

SAME: dict[str, tuple[Any, ...]] = {"strategy": ("ddp",), "precision": (32, "32", "32-true")}
"""Further values that are the same as the default for one process."""

REFUSED_CALLBACKS: dict[type[L.Callback], str] = {
    callbacks.BaseFinetuning: "the backbone is never trained",
    callbacks.BatchSizeFinder: "hydra/launcher=vectorized chooses how many runs share a batch",
    callbacks.EarlyStopping: (
        "checks at the end of an epoch, and a run is one epoch; set steps, or divergence"
    ),
    callbacks.GradientAccumulationScheduler: "every step evaluates and updates the whole image",
    callbacks.LearningRateFinder: "set optimizer.lr instead, for example in a sweep",
    callbacks.ModelPruning: "there is nothing to prune: only pixels are optimised",
    callbacks.OnExceptionCheckpoint: "nst writes checkpoints of its own; see checkpoint_seconds",
    callbacks.ProgressBar: "nst has a progress bar of its own",
    callbacks.StochasticWeightAveraging: "averages over epochs, and a run is one epoch",
    callbacks.WeightAveraging: "the checkpoints of nst do not have the average",
}
"""Lightning's callbacks that are refused, and why."""

NEED_LOGGER = (callbacks.DeviceStatsMonitor, callbacks.LearningRateMonitor)
"""Lightning's callbacks that fail without a logger."""


def build_trainer(config: Config) -> L.Trainer:
    """The Trainer of an identified run's config, with its callbacks, without loggers.

    Its files, such as a profiler's, go to the run folder unless the config has another folder.

    Raises:
        ConfigError: if an argument or a callback is wrong, or could change the picture.
    """
    given = config.trainer
    if not isinstance(given, dict) or "_target_" not in given:
        raise ConfigError("trainer", given, "needs a _target_, as conf/trainer/default.yaml has")
    fixed = _refuse(given)
    found = _callbacks(given, logged=bool(config.logger))
    # not passed to instantiate, which would resolve a ${ in the folder's name
    fixed["default_root_dir"] = given.get("default_root_dir") or config.run.folder
    kept = {key: value for key, value in given.items() if key not in {*fixed, "callbacks"}}
    with as_config_error("trainer", given["_target_"]):
        make = instantiate(kept, _partial_=True, _convert_="all")
        made = make(**fixed, callbacks=found)
        if not isinstance(made, L.Trainer):
            raise TypeError("is not a lightning.pytorch.Trainer")
    for name in ("max_steps", "limit_train_batches"):
        if getattr(made, name) == 0:
            raise ConfigError(f"trainer.{name}", 0, "leaves no step to compute")
    return made


def _refuse(given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of all refused arguments, which PL_TRAINER_… variables could set otherwise."""
    defaults = inspect.signature(L.Trainer.__init__).parameters
    fixed: dict[str, Any] = {}
    for name, reason in ARGUMENTS.items():
        if reason is None:
            continue
        default = defaults[name].default
        fixed[name] = OURS.get(name, default)
        allowed = (default, fixed[name], *SAME.get(name, ()))
        if name in given and given[name] not in allowed:
            raise ConfigError(f"trainer.{name}", given[name], reason)
    return {**fixed, "plugins": [OneProcess()]}


def _callbacks(given: Mapping[str, Any], logged: bool) -> list[L.Callback]:
    key, nodes = "trainer.callbacks", given.get("callbacks") or []
    with as_config_error(key, nodes):
        found = instantiate(nodes, _convert_="all")
    found = found if isinstance(found, list) else [found]
    for callback in found:
        name = type(callback).__name__
        if not isinstance(callback, L.Callback):
            raise ConfigError(key, callback, "is not a lightning.pytorch.Callback")
        for kind, reason in REFUSED_CALLBACKS.items():
            if isinstance(callback, kind):
                raise ConfigError(key, name, reason)
        if isinstance(callback, NEED_LOGGER) and not logged:
            raise ConfigError(key, name, "needs a logger, such as logger=csv")
    return found


def break_cycles(trainer: L.Trainer) -> None:
    """Breaks the reference cycles of a Trainer, so that the module's memory is freed now."""
    vars(trainer).clear()


@contextmanager
def as_config_error(key: str, value: object) -> Iterator[None]:
    """Re-raises any error as one of a config value.

    Raises:
        ConfigError: for any error.
    """
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise ConfigError(key, value, reason) from error
