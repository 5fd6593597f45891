"""From prepared runs to run folders: weights, backbone, Trainer, trackers."""

from __future__ import annotations

import inspect
import logging
import pkgutil
import secrets
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from nst import checkpoint, weights
from nst.calibrate import activation_means
from nst.checkpoint import Checkpoint
from nst.errors import ConfigError, Interrupted, NstError
from nst.folder import (
    COMPLETED,
    DIVERGED,
    FAILED,
    RunFolder,
    locked,
    place,
    read_facts,
    read_status,
)
from nst.measures import Yardstick
from nst.module import StyleTransfer
from nst.progress import ProgressBar
from nst.recorder import Recorder
from nst.run import Run, named, resolve_precision, signature
from nst.schema import Config
from nst.tracking import STOPPING, Tracker
from nst.vgg import VGG

log = logging.getLogger(__name__)

# Importing Lightning made it talkative; its tips and device lines would hide the run's own.
for _name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
    logging.getLogger(_name).setLevel(logging.WARNING)
warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)`")  # Lightning's own

_load_weights = lru_cache(maxsize=1)(weights.load)  # a sweep in one process loads them once
_activation_means = lru_cache(maxsize=2)(activation_means)
_yardstick = lru_cache(maxsize=1)(Yardstick)


def execute(runs: Sequence[Run], group: str | None = None) -> list[Path]:
    """Optimises runs that can share a pass, as one batch; finished ones are returned at once.

    Args:
        runs: alike in picture shape, schedule, optimiser, backbone, precision and trainer.
        group: what they belong to, for trackers.

    Returns:
        The run folders, in order; with ``retry=failed`` there may be none where none was before.

    Raises:
        ConfigError: if what was asked for is not possible.
        DivergedError: if every run did.
        NstError: if the Trainer stopped early.
        OSError: if a folder cannot be written.
    """
    config = runs[0].config
    make_optimizer = _optimizer(config)
    trainer: Any = _build(_dictconfig(config).trainer, "trainer", logger=False)
    if trainer.max_epochs != 1:
        problem = "must be 1: how long a run is, steps says"
        raise ConfigError("trainer.max_epochs", config.trainer["max_epochs"], problem)
    device = trainer.strategy.root_device
    precision = resolve_precision(config.precision, device)
    backbone = config.backbone
    loaded = _load_weights(
        backbone.name, backbone.source, backbone.path, backbone.sha256, backbone.order
    )
    runs = [_identified(run, signature(run, loaded, precision), group) for run in runs]
    wanted = [run for run in runs if not _left_out(run)]
    for run in wanted:
        if not _finished(run):  # wrong settings show up here, before there is a folder
            _loggers(run)
            _means(run.config, loaded)
    with ExitStack() as locks:
        # in the order of their names: otherwise two processes could wait for each other
        for folder in sorted({_folder(run) for run in wanted}):
            locks.enter_context(locked(folder))
        waiting = []
        for run in wanted:
            if _finished(run):
                log.info("already finished: %s (force=true runs it again)", _folder(run))
            else:
                waiting.append(run)
            if run.member is not None:
                RunFolder(_folder(run)).join(run.member)
        if waiting:
            _optimise(waiting, trainer, make_optimizer, loaded, precision)
    return [_folder(run) for run in runs]


def _optimise(
    runs: Sequence[Run],
    trainer: Any,
    make_optimizer: partial[torch.optim.Optimizer],
    loaded: weights.Weights,
    precision: str,
) -> None:
    config = runs[0].config
    backbone = config.backbone
    device = trainer.strategy.root_device
    facts = {
        "device": _device_name(device),
        "precision": precision,
        "weights_sha256": loaded.sha256,
        "backbone": backbone.name,
    }
    checkpoints = _checkpoints(runs)
    stands: list[Checkpoint | None] = [*checkpoints] or [None] * len(runs)
    recorders = [_recorder(run, facts, stand) for run, stand in zip(runs, stands, strict=True)]
    with _failures_recorded(recorders):
        taps = set().union(*(run.taps for run in runs))
        means = _means(config, loaded)
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        network = VGG(loaded, backbone.name, taps, backbone.pooling, backbone.padding, means, dtype)
        module = StyleTransfer(network, runs, make_optimizer, checkpoints)
        trainer.loggers = [logger for recorder in recorders for logger in recorder.loggers]
        yardstick = _yardstick(loaded, backbone.name, device)
        tracker = Tracker(recorders, config.snapshot_every, config.checkpoint_seconds, yardstick)
        name = f"{len(runs)} runs" if len(runs) > 1 else config.run.name or ""
        trainer.callbacks += [tracker, ProgressBar(name, config.steps)]
        with interruptible(tracker):
            trainer.fit(module)
    if trainer.should_stop:  # max_time, say, or a callback of the user's
        raise NstError("stopped by the Trainer before the last step; the same command goes on")


def _means(config: Config, loaded: weights.Weights) -> list[float] | None:
    """What activations are divided by."""
    if not config.normalize.activations:
        return None
    means = _activation_means(loaded, config.backbone.name, config.backbone.pooling)
    if not all(0 < mean < float("inf") for mean in means):
        problem = "a layer never activates on photographs; normalize=textbook goes without"
        raise ConfigError("backbone.path", config.backbone.path, problem)
    return means


def _checkpoints(runs: Sequence[Run]) -> list[Checkpoint]:
    """Where the runs stood, if all of them stood at the same step; else nothing: from the start."""
    found = [checkpoint.load(_folder(run), run.config.run.signature or "") for run in runs]
    known = [stand for stand in found if stand is not None]
    if len(known) < len(runs) or len({stand.step for stand in known}) > 1:
        return []
    for run, stand in zip(runs, known, strict=True):
        log.info("goes on from step %d: %s", stand.step, _folder(run))
    return known


@contextmanager
def _failures_recorded(recorders: Sequence[Recorder]) -> Iterator[None]:
    """Says in every unfinished run's folder why it ended."""
    try:
        yield
    except BaseException as error:
        # Lightning makes a SystemExit of a Ctrl-C
        context = error.__context__ if isinstance(error, SystemExit) else None
        cause = context if isinstance(context, KeyboardInterrupt) else error
        for recorder in recorders:
            recorder.fail(cause)
        if cause is not error:
            raise Interrupted(signal.SIGINT) from None
        raise


@contextmanager
def interruptible(tracker: Tracker) -> Iterator[None]:
    """While the tracker listens to signals; afterwards they mean what they meant before.

    Raises:
        Interrupted: if one came.
    """
    before = {number: signal.getsignal(number) for number in STOPPING}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)
    if tracker.interrupted is not None:
        raise Interrupted(tracker.interrupted)


def _identified(run: Run, signature: str, group: str | None) -> Run:
    config = run.config
    label = run.label()
    folder = place(Path(config.outputs) / "runs", f"{label}-{signature}", config.force)
    tags = [config.task, f"init={config.init.name}", config.backbone.name, config.schedule.name]
    if run.member is not None:
        tags.append(config.experiment.name)
    return named(
        run,
        signature=signature,
        folder=str(folder),
        name=folder.name,
        group=group,
        tags=tags,
        # of an unfinished attempt, so that its W&B run goes on
        wandb_id=read_facts(folder).get("wandb_id") or secrets.token_hex(4),
    )


def _folder(run: Run) -> Path:
    assert run.config.run.folder is not None
    return Path(run.config.run.folder)


def _left_out(run: Run) -> bool:
    """With ``retry=failed``, what neither failed nor is finished."""
    retried = (COMPLETED, FAILED, DIVERGED)
    left_out = run.config.retry == "failed" and read_status(_folder(run)) not in retried
    if left_out:
        log.info("left out, it did not fail before (retry=failed): %s", _folder(run))
    return left_out


def _finished(run: Run) -> bool:
    folder = _folder(run)
    return read_status(folder) == COMPLETED and (folder / "final.png").is_file()


def _recorder(run: Run, facts: dict[str, str], stand: Checkpoint | None) -> Recorder:
    config = _dictconfig(run.config)
    folder = RunFolder(_folder(run))
    OmegaConf.resolve(config)
    kept = range(0, stand.step if stand else 0, run.config.snapshot_every)
    found = run.config.run
    identity = {"signature": found.signature, "wandb_id": found.wandb_id, **facts}
    folder.start(OmegaConf.to_yaml(config), identity, kept)
    resolved: Any = OmegaConf.to_container(config)
    return Recorder(run, folder, resolved, _loggers(run), stand)


def _loggers(run: Run) -> list[Logger]:
    nodes = _dictconfig(run.config).logger or {}
    return [_build(node, f"logger.{key}") for key, node in nodes.items()]


def _dictconfig(config: Config) -> DictConfig:
    return OmegaConf.create(config.asdict())


def _optimizer(config: Config) -> partial[torch.optim.Optimizer]:
    """The optimiser of the config, tried once on a small image: wrong settings show up here."""
    arguments = {key: value for key, value in config.optimizer.items() if key != "_target_"}
    try:
        found: Any = pkgutil.resolve_name(config.optimizer["_target_"])
        make = partial(found, **arguments)
        if not (inspect.isclass(found) and torch.optim.Optimizer in found.__mro__):
            raise TypeError(f"_target_={config.optimizer['_target_']} is no optimizer")
        make([torch.nn.Parameter(torch.zeros(1, 3, 2, 2))])
    except (ValueError, TypeError, ImportError, KeyError, AttributeError) as error:
        raise ConfigError("optimizer", arguments, " ".join(str(error).split())) from error
    return make


def _build(node: Any, key: str, **arguments: object) -> Any:
    if not isinstance(node, DictConfig) or "_target_" not in node:
        raise ConfigError(key, node, "needs a _target_, as the files of its group in conf/ have")
    try:
        return instantiate(node, **arguments)
    except Exception as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise ConfigError(key, node.get("_target_"), reason) from error


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
