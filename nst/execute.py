"""From prepared runs to run folders: weights, backbone, Trainer, trackers."""

from __future__ import annotations

import inspect
import logging
import pkgutil
import secrets
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger, WandbLogger
from omegaconf import DictConfig, OmegaConf

from nst import agent, checkpoint, weights
from nst.calibrate import activation_means
from nst.checkpoint import Checkpoint
from nst.errors import ConfigError, DivergedError, Interrupted, NstError
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
from nst.interrupts import interruptible
from nst.measures import Yardstick
from nst.module import StyleTransfer
from nst.optim import PerImage
from nst.progress import ProgressBar
from nst.recorder import Recorder
from nst.retell import retell
from nst.run import Run, named, resolve_precision, signature
from nst.schema import Config
from nst.tags import tags
from nst.tracking import Tracker
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
    """``identify`` and ``compute``."""
    return compute(identify(runs, group))


def identify(runs: Sequence[Run], group: str | None = None) -> list[Run]:
    """The runs with their signatures, and with the folders that they belong into.

    Args:
        runs: alike in backbone, precision and trainer.
        group: what they belong to, for trackers.

    Raises:
        ConfigError: if what was asked for is not possible.
    """
    loaded, precision = _weights(runs[0].config), _precision(runs[0].config)
    return [_identified(run, signature(run, loaded, precision), group) for run in runs]


def compute(runs: Sequence[Run]) -> list[Path]:
    """Optimises runs that can share a pass, as one batch; finished ones are returned at once.

    Args:
        runs: identified; alike in picture shape, schedule, optimiser, backbone, precision and
            trainer.

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
    loaded, precision = _weights(config), _precision(config)
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
                if agent.run_id():  # whose W&B run would stay empty
                    _retell(run)
            else:
                waiting.append(run)
            if run.member is not None:
                RunFolder(_folder(run)).join(run.member)
        batches = _batches(waiting)
        diverged: list[DivergedError] = []
        for stands in batches:
            try:
                _optimise(stands, make_optimizer, loaded, precision)
            except DivergedError as error:
                diverged.append(error)
        if diverged and len(diverged) == len(batches):
            raise diverged[0]
    return [_folder(run) for run in runs]


def _weights(config: Config) -> weights.Weights:
    backbone = config.backbone
    return _load_weights(
        backbone.name, backbone.source, backbone.path, backbone.sha256, backbone.order
    )


def _precision(config: Config) -> str:
    return resolve_precision(config.precision, _trainer(config).strategy.root_device)


Stand = tuple[Run, Checkpoint | None]
"""A run, and where it stood when it was broken off."""


def _batches(runs: Sequence[Run]) -> list[list[Stand]]:
    """The runs by the step that they go on from: what was broken off may stand at several."""
    batches: dict[int, list[Stand]] = {}
    for run in runs:
        stand = checkpoint.load(_folder(run), run.config.run.signature or "")
        step = stand.step if stand else 0
        if stand:
            log.info("goes on from step %d: %s", step, _folder(run))
        batches.setdefault(step, []).append((run, stand))
    return list(batches.values())


def _trainer(config: Config) -> Any:
    trainer = _build(_dictconfig(config).trainer, "trainer", logger=False)
    if trainer.max_epochs != 1:
        problem = "must be 1: how long a run is, steps says"
        raise ConfigError("trainer.max_epochs", config.trainer["max_epochs"], problem)
    return trainer


def _optimise(
    stands: Sequence[Stand],
    make_optimizer: partial[PerImage],
    loaded: weights.Weights,
    precision: str,
) -> None:
    runs = [run for run, _ in stands]
    config = runs[0].config
    backbone = config.backbone
    trainer = _trainer(config)
    device = trainer.strategy.root_device
    facts = {
        "device": _device_name(device),
        "precision": precision,
        "weights_sha256": loaded.sha256,
        "backbone": backbone.name,
    }
    checkpoints = [stand for _, stand in stands if stand is not None]
    recorders = [_recorder(run, facts, stand) for run, stand in stands]
    with _failures_recorded(recorders):
        taps = set().union(*(run.taps for run in runs))
        means = _means(config, loaded)
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        network = VGG(loaded, backbone.name, taps, backbone.pooling, backbone.padding, means, dtype)
        module = StyleTransfer(network, runs, make_optimizer, checkpoints)
        trainer.loggers = [logger for recorder in recorders for logger in recorder.loggers]
        yardstick = _yardstick(loaded, backbone.name, device)
        name = f"{len(runs)} runs" if len(runs) > 1 else config.run.name or ""
        with interruptible() as interrupts:
            tracker = Tracker(
                recorders, config.snapshot_every, config.checkpoint_seconds, yardstick, interrupts
            )
            trainer.callbacks += [tracker, ProgressBar(name, config.steps)]
            trainer.fit(module)
    if tracker.steps_done < config.steps:  # max_time, say, or a callback of the user's
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


def _identified(run: Run, signature: str, group: str | None) -> Run:
    config = run.config
    label = run.label()
    folder = place(Path(config.outputs) / "runs", f"{label}-{signature}", config.force)
    return named(
        run,
        signature=signature,
        folder=str(folder),
        name=folder.name,
        group=group,
        tags=tags(config),
        # of an unfinished attempt, so that its W&B run goes on
        wandb_id=agent.run_id() or read_facts(folder).get("wandb_id") or secrets.token_hex(4),
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


def _retell(run: Run) -> None:
    """Tells W&B of a finished run once more; other trackers have it."""
    loggers = [logger for logger in _loggers(run) if isinstance(logger, WandbLogger)]
    config: Any = OmegaConf.to_container(_dictconfig(run.config), resolve=True)
    retell(Recorder(run, RunFolder(_folder(run)), config, loggers))


def _loggers(run: Run) -> list[Logger]:
    nodes = _dictconfig(run.config).logger or {}
    return [_build(node, f"logger.{key}") for key, node in nodes.items()]


def _dictconfig(config: Config) -> DictConfig:
    return OmegaConf.create(config.asdict())


def _optimizer(config: Config) -> partial[PerImage]:
    """The optimiser of the config, tried once on a small image: wrong settings show up here."""
    arguments = {key: value for key, value in config.optimizer.items() if key != "_target_"}
    try:
        found: Any = pkgutil.resolve_name(config.optimizer["_target_"])
        make = partial(found, **arguments)
        if not (inspect.isclass(found) and PerImage in found.__mro__):
            problem = "is no optimizer of images, as nst.optim.LBFGS and nst.optim.Adam are"
            raise TypeError(f"_target_={config.optimizer['_target_']} {problem}")
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
