"""From prepared runs to run folders: weights, backbone, Trainer, trackers."""

from __future__ import annotations

import logging
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
from hydra.utils import get_class, instantiate
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from nst import checkpoint, weights
from nst.calibrate import activation_means
from nst.checkpoint import Checkpoint
from nst.errors import ConfigError, Interrupted, NstError
from nst.folder import COMPLETED, RunFolder, locked, place, read_facts, read_status
from nst.measures import Yardstick
from nst.module import StyleTransfer
from nst.progress import ProgressBar
from nst.run import Run, named, resolve_precision, signature
from nst.schema import Config
from nst.tracking import STOPPING, Recorder, Tracker
from nst.vgg import VGG

log = logging.getLogger(__name__)

# Importing Lightning made it talkative; its tips and device lines would hide the run's own.
for _name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
    logging.getLogger(_name).setLevel(logging.WARNING)
warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)`")  # Lightning's own

_load_weights = lru_cache(maxsize=1)(weights.load)  # a sweep in one process loads them once
_yardstick = lru_cache(maxsize=1)(Yardstick)


def execute(runs: Sequence[Run], group: str | None = None) -> list[Path]:
    """Optimises runs that can share a pass, as one batch; finished ones are returned at once.

    Args:
        runs: alike in picture shape, schedule, optimiser, backbone, precision and trainer.
        group: what they belong to, for trackers.

    Returns:
        The run folders, in order.
    """
    config = runs[0].config
    make_optimizer = _optimizer(config)
    trainer: Any = _build(_dictconfig(config).trainer, "trainer", logger=False)
    device = trainer.strategy.root_device
    precision = resolve_precision(config.precision, device)
    backbone = config.backbone
    loaded = _load_weights(
        backbone.name, backbone.source, backbone.path, backbone.sha256, backbone.order
    )
    runs = [_identified(run, signature(run, loaded, precision), group) for run in runs]
    with ExitStack() as locks:
        # in the order of their names: otherwise two processes could wait for each other
        for folder in sorted({_folder(run) for run in runs}):
            locks.enter_context(locked(folder))
        waiting = [run for run in runs if not _finished(run)]
        for run in runs:
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
    taps = set().union(*(run.taps for run in runs))
    means = None
    if config.normalize.activations:
        means = activation_means(loaded, backbone.name, backbone.pooling)
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


def _finished(run: Run) -> bool:
    finished = read_status(_folder(run)) == COMPLETED
    if finished:
        log.info("already finished: %s (force=true runs it again)", _folder(run))
    return finished


def _recorder(run: Run, facts: dict[str, str], stand: Checkpoint | None) -> Recorder:
    config = _dictconfig(run.config)
    folder = RunFolder(_folder(run))
    OmegaConf.resolve(config)
    kept = range(0, stand.step if stand else 0, run.config.snapshot_every)
    found = run.config.run
    identity = {"signature": found.signature, "wandb_id": found.wandb_id, **facts}
    folder.start(OmegaConf.to_yaml(config), identity, kept)
    loggers: list[Logger] = [
        _build(node, f"logger.{key}") for key, node in (config.logger or {}).items()
    ]
    resolved: Any = OmegaConf.to_container(config)
    return Recorder(run, folder, resolved, loggers, checkpoint=stand)


def _dictconfig(config: Config) -> DictConfig:
    return OmegaConf.create(config.asdict())


def _optimizer(config: Config) -> partial[torch.optim.Optimizer]:
    """The optimiser of the config, tried once on a small image: wrong settings show up here."""
    arguments = {key: value for key, value in config.optimizer.items() if key != "_target_"}
    try:
        make = partial(get_class(config.optimizer["_target_"]), **arguments)
        make([torch.nn.Parameter(torch.zeros(1, 3, 2, 2))])
    except (ValueError, TypeError, ImportError, KeyError) as error:
        raise ConfigError("optimizer", arguments, " ".join(str(error).split())) from error
    return make


def _build(node: DictConfig, key: str, **arguments: object) -> Any:
    try:
        return instantiate(node, **arguments)
    except Exception as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise ConfigError(key, node.get("_target_"), reason) from error


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
