"""From prepared runs to run folders: finds what is not finished, computes it in batches."""

from __future__ import annotations

import logging
import secrets
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import OmegaConf

from nst.config.overrides import literal, on_texts
from nst.loggers import wandb_agent
from nst.metrics.quality import Metrics
from nst.runs import build, checkpoint_file, machine
from nst.runs.build import resolve_precision
from nst.runs.folder import RunFolder, claim, locked, package_versions, place
from nst.runs.outcome import LEFT_OUT, SKIPPED, Outcome
from nst.runs.plan import Plan
from nst.runs.progress import ProgressBar
from nst.runs.record import COMPLETED, DIVERGED, FAILED, finished, read_facts, read_status
from nst.runs.replay import replay
from nst.runs.signals import interruptible
from nst.runs.signature import named, signature
from nst.runs.tags import tags
from nst.runs.tracker import Tracker
from nst.runs.trainer import build_trainer
from nst.runs.writer import RunWriter
from nst.transfer.checkpoint import Checkpoint
from nst.transfer.module import StyleTransfer
from nst.transfer.run import Run
from nst.utils.errors import RESUME, Interrupted, NstError
from nst.utils.files import escaped, shown

log = logging.getLogger(__name__)

_metrics = lru_cache(maxsize=1)(Metrics)


def identify(runs: Sequence[Run], group: str | None = None) -> list[Run]:
    """The runs with their signatures and their folders.

    Args:
        runs: with the same backbone, precision and trainer.
        group: that loggers put them in, the name of their sweep.

    Raises:
        ConfigError: if the backbone, the precision or the trainer is impossible.
    """
    loaded, precision = build.pretrained(runs[0].config), build.precision(runs[0].config)
    return [_identified(run, signature(run, loaded, precision), group) for run in runs]


def waits(run: Run) -> bool:
    """Whether an identified run is to be computed: neither finished nor skipped."""
    return not _left_out(run) and not _finished(run)


def compute(runs: Sequence[Run], plan: Plan | None = None) -> list[Outcome]:
    """Optimises runs as one batch; finished ones are returned at once.

    A run that fails or diverges does not affect the others. A run that is listed twice is computed
    once.

    Args:
        runs: identified; alike in picture shape, schedule, optimiser, backbone, precision and
            trainer.
        plan: of the sweep that they belong to.

    Returns:
        How each run ended, in order. An error of the batch is the error of all its runs.

    Raises:
        Interrupted: if a signal came; the runs can be resumed.
    """
    outcomes: dict[Path, Outcome] = {}
    runs = [_claimed(run, outcomes) for run in runs]
    asked = {folder_of(run): run for run in reversed(runs)}  # the first of those that are the same
    folders = list(dict.fromkeys(map(folder_of, runs)))
    with ExitStack() as locks:
        # in the order of their names: otherwise two processes could wait for each other
        for folder in sorted(set(folders) - set(outcomes)):
            with _its_own(folder, outcomes):
                locks.enter_context(locked(folder))
                if _finished(asked[folder]):
                    log.info("already finished: %s (force=true runs it again)", shown(folder))
                    if wandb_agent.run_id():  # whose W&B run would stay empty
                        _replay(asked[folder])
                    outcomes[folder] = Outcome(SKIPPED)
                members = (run.member for run in runs if folder_of(run) == folder)
                for member in filter(None, members):
                    RunFolder(folder).join(member)
        waiting = [asked[folder] for folder in folders if folder not in outcomes]
        for starts in _batches(waiting, outcomes):
            outcomes |= _optimise(starts, plan or Plan())
    found = []
    for index, run in enumerate(runs):
        outcome = outcomes[folder_of(run)]._replace(folder=folder_of(run))
        again = folder_of(run) in map(folder_of, runs[:index])
        skipped = again and outcome.status == COMPLETED
        found.append(outcome._replace(status=SKIPPED) if skipped else outcome)
    return found


def _claimed(run: Run, outcomes: dict[Path, Outcome]) -> Run:
    """Makes the folder of a run, unless the run is finished, skipped or cannot begin.

    Another process, or a job of this batch with another name for a picture, may have made it
    since the run was identified.
    """
    folder = folder_of(run)
    if folder in outcomes:
        return run
    with _its_own(folder, outcomes):
        if _left_out(run):
            log.info("skipped: not a failed run (retry=failed): %s", shown(folder))
            outcomes[folder] = Outcome(LEFT_OUT)
        elif not _finished(run):
            _check(run)
            found = run.config.run
            assert found.signature is not None
            return _identified(run, found.signature, found.group, claim)
    return run


Start = tuple[Run, Checkpoint | None]
"""A run, and the checkpoint that it resumes from."""


def _batches(runs: Sequence[Run], outcomes: dict[Path, Outcome]) -> list[list[Start]]:
    """Groups the runs by the step that they start from: interrupted runs may be at any."""
    batches: dict[int, list[Start]] = {}
    for run in runs:
        with _its_own(folder_of(run), outcomes):
            checkpoint = checkpoint_file.load(folder_of(run), run.config.run.signature or "")
            step = checkpoint.step if checkpoint else 0
            if checkpoint:
                log.info("resuming from step %d: %s", step, shown(folder_of(run)))
            batches.setdefault(step, []).append((run, checkpoint))
    return list(batches.values())


@contextmanager
def _its_own(folder: Path, outcomes: dict[Path, Outcome]) -> Iterator[None]:
    """An error inside ends the run of this folder alone."""
    try:
        yield
    except Exception as error:
        outcomes[folder] = Outcome.of(error)


def _check(run: Run) -> None:
    """Builds what the config names, so that wrong settings raise before there is a folder."""
    build.optimizer(run.config)
    build.loggers(run)
    build.means(run.config, build.pretrained(run.config))


def _optimise(starts: Sequence[Start], plan: Plan) -> dict[Path, Outcome]:
    """Computes runs that start from the same step, as one batch.

    Returns:
        How each ended, by its folder.
    """
    config = starts[0][0].config
    trainer = build_trainer(config)
    device = trainer.strategy.root_device
    facts = {
        **machine.facts(device),
        "precision": resolve_precision(config.precision, device),
        "weights_sha256": build.pretrained(config).sha256,
        "backbone": config.backbone.name,
    }
    outcomes: dict[Path, Outcome] = {}
    writers: list[RunWriter] = []
    for run, checkpoint in starts:
        with _its_own(folder_of(run), outcomes):
            writers.append(_writer(run, facts, checkpoint))
    failed = None
    try:
        with _failures_recorded(writers):
            begun = _begun(writers)
            done = _fit(trainer, begun, plan) if begun else config.steps
        if done < config.steps:  # max_time, say, or a callback of the user's
            raise NstError(f"stopped by the Trainer before the last step: {RESUME}")
    except Exception as error:
        failed = Outcome.of(error)
    finally:
        build.take_apart(trainer)
    for writer in writers:
        own = Outcome.of(writer.error) if writer.error is not None else Outcome(COMPLETED)
        outcomes[writer.folder.path] = own if writer.ended else failed or own
    return outcomes


def _begun(writers: Sequence[RunWriter]) -> list[RunWriter]:
    """Begins all runs; returns those that could begin."""
    for writer in writers:
        writer.begin()
    return [writer for writer in writers if not writer.ended]


def _fit(trainer: Any, writers: Sequence[RunWriter], plan: Plan) -> int:
    """Runs the Trainer. Raises what ends the whole batch; an error of one run ends that run.

    Returns:
        Steps that were computed.
    """
    runs = [writer.run for writer in writers]
    config = runs[0].config
    device = trainer.strategy.root_device
    taps = set().union(*(run.taps for run in runs))
    precision = resolve_precision(config.precision, device)
    late = precision != "32" and runs[0].precise_from < config.steps
    precisions = [precision, "32"] if late else [precision]
    with build.backbones(config, taps, precisions, device) as networks:
        network, precise = networks[precision], networks["32"] if late else None
        checkpoints = [each.checkpoint for each in writers if each.checkpoint is not None]
        metrics = _metrics(build.pretrained(config), config.backbone.name, device)
        name = f"{len(runs)} runs" if len(runs) > 1 else config.run.name or ""
        if config.compile is not None:
            log.info("compile=%s: the first step at every size takes a while", config.compile)
        with interruptible() as interrupts:
            module = StyleTransfer(
                network,
                runs,
                build.optimizer(config),
                checkpoints,
                precise,
                interrupted=lambda: interrupts.received is not None,
            )
            tracker = Tracker(
                writers,
                config.snapshot_every,
                config.checkpoint_seconds,
                metrics,
                interrupts,
                prompt=bool(config.trainer.get("callbacks")) and bool(config.logger),
            )
            trainer.callbacks += [tracker, ProgressBar(name, config.steps, plan)]
            loggers = [logger for writer in writers for logger in writer.loggers]
            trainer.loggers = list(filter(_works, loggers))
            # callbacks log at the run's steps, also in a run that is resumed
            stepped = {"_batches_that_stepped": module.first}
            trainer.fit_loop.epoch_loop.on_load_checkpoint(stepped)
            trainer.fit(module)
    return tracker.steps_done


def _works(logger: Logger) -> bool:
    """Whether the Trainer may have it: it ends with the first whose experiment cannot begin."""
    try:
        getattr(logger, "experiment", None)
    except Exception:  # it was reported when the logger could not begin
        return False
    return True


@contextmanager
def _failures_recorded(writers: Sequence[RunWriter]) -> Iterator[None]:
    """Records in the folder of every unfinished run why it ended."""
    try:
        yield
    except BaseException as error:
        received = _signal(error)
        cause = error if received is None else Interrupted(received)
        for writer in writers:
            writer.fail(cause)
        if cause is not error:
            raise cause from None
        raise


def _signal(error: BaseException) -> signal.Signals | None:
    """The signal that caused an error, if one did.

    Lightning raises SystemExit for a signal that comes before ``Interrupts.listen``.
    """
    if isinstance(error, SIGTERMException):
        return signal.SIGTERM
    if isinstance(error, SystemExit):
        error = error.__context__ or error
    if isinstance(error, KeyboardInterrupt):
        return error.signal if isinstance(error, Interrupted) else signal.SIGINT
    return None


def _identified(
    run: Run, signature: str, group: str | None, find: Callable[..., Path] = place
) -> Run:
    config = run.config
    folder = find(Path(config.outputs) / "runs", run.label(), signature, config.force)
    return named(
        run,
        signature=signature,
        folder=str(folder),
        name=folder.name,
        group=group,
        tags=tags(config),
        # of an unfinished attempt, so that its W&B run goes on
        wandb_id=wandb_agent.wandb_id(group)
        or read_facts(folder).get("wandb_id")
        or secrets.token_hex(4),
    )


def folder_of(run: Run) -> Path:
    """The folder of an identified run."""
    assert run.config.run.folder is not None
    return Path(run.config.run.folder)


def _left_out(run: Run) -> bool:
    """Whether ``retry=failed`` skips a run: it neither failed nor is finished."""
    retried = (COMPLETED, FAILED, DIVERGED)
    return run.config.retry == "failed" and read_status(folder_of(run)) not in retried


def _finished(run: Run) -> bool:
    return finished(folder_of(run))


def _writer(run: Run, facts: dict[str, Any], checkpoint: Checkpoint | None) -> RunWriter:
    folder = RunFolder(folder_of(run))
    kept = range(0, checkpoint.step if checkpoint else 0, run.config.snapshot_every)
    found = run.config.run
    if checkpoint:
        now = {**facts, "packages": package_versions()}
        if changed := machine.differences(read_facts(folder.path), now):
            text = "%s: resumes with %s; its picture may differ from that of an uninterrupted run"
            log.warning(text, shown(folder.path), "; ".join(changed))
    identity = {"signature": found.signature, "wandb_id": found.wandb_id, **facts}
    config = _recorded(run)
    text = OmegaConf.to_yaml(OmegaConf.create(literal(config)), resolve=True)
    folder.clear(kept)
    folder.start(text, identity)
    return RunWriter(run, folder, config, build.loggers(run), checkpoint)


def _recorded(run: Run) -> dict[str, Any]:
    """The resolved config for files and loggers: bytes that are not UTF-8 are escaped."""
    plain: Any = OmegaConf.to_container(build.as_dictconfig(run.config), resolve=True)
    found: dict[str, Any] = on_texts(escaped, plain)
    return found


def _replay(run: Run) -> None:
    """Logs a finished run to W&B again; other trackers have it."""
    loggers = [logger for logger in build.loggers(run) if isinstance(logger, WandbLogger)]
    config: Any = OmegaConf.to_container(build.as_dictconfig(run.config), resolve=True)
    replay(RunWriter(run, RunFolder(folder_of(run)), config, loggers))
