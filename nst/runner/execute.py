"""Computes identified runs as one batch, each into its run folder."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import OmegaConf

from nst.config.experiment import style_names
from nst.metrics import learned
from nst.metrics.quality import Metrics
from nst.runner import checkpoint_file, experiment_jobs, machine
from nst.runner.folder import RunFolder, locked, package_versions
from nst.runner.identify import claimed, folder_of, is_finished, is_skipped
from nst.runner.loggers import build_loggers, stored
from nst.runner.networks import means, networks
from nst.runner.outcome import FINISHED_BEFORE, SKIPPED, Outcome
from nst.runner.plan import Plan
from nst.runner.progress import ProgressBar
from nst.runner.pruning import Pruning
from nst.runner.record import COMPLETED, read_facts
from nst.runner.replay import replay
from nst.runner.signals import interruptible
from nst.runner.tracker import Tracker
from nst.runner.trainer import break_cycles, build_trainer
from nst.runner.writer import RunWriter
from nst.transfer.checkpoint import Checkpoint
from nst.transfer.module import StyleTransfer
from nst.transfer.run import Run
from nst.utils import agent
from nst.utils.errors import RESUME, Interrupted, NstError
from nst.utils.files import shown

log = logging.getLogger(__name__)

_metrics = lru_cache(maxsize=1)(Metrics)


def compute(runs: Sequence[Run], plan: Plan | None = None) -> list[Outcome]:
    """Optimises runs as one batch; finished ones are returned at once.

    A run that fails or diverges does not affect the others. A run that is listed twice is computed
    once.

    Args:
        runs: identified; alike in what a batch must share (``config.keys.batch_shares``).
        plan: of the sweep that they belong to.

    Returns:
        How each run ended, in order. An error of the batch is the error of all its runs.

    Raises:
        Interrupted: if a signal came; the runs can be resumed.
    """
    batch = _Batch(plan or Plan())
    runs = [batch.claim(run) for run in runs]
    batch.compute(runs)
    found, seen = [], set()
    for run in runs:
        outcome = batch.outcomes[folder_of(run)]._replace(folder=folder_of(run))
        if folder_of(run) in seen and outcome.status == COMPLETED:
            outcome = outcome._replace(status=FINISHED_BEFORE)
        seen.add(folder_of(run))
        found.append(outcome)
    return found


Start = tuple[Run, Checkpoint | None]
"""A run, and the checkpoint that it resumes from."""


class _Batch:
    """Runs that are computed together, each in a folder of its own.

    Args:
        plan: of the sweep that they belong to.

    Attributes:
        outcomes: how the runs ended, by folder.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.outcomes: dict[Path, Outcome] = {}
        self._loggers: dict[Path, list[Logger]] = {}
        self._trainer: L.Trainer | None = None

    def claim(self, run: Run) -> Run:
        """Makes the folder of a run, unless the run is finished, is skipped or cannot begin."""
        folder = folder_of(run)
        if folder in self.outcomes or folder in self._loggers:
            return run
        with self._isolating_errors(folder):
            if is_skipped(run):
                log.info("skipped: not a failed run (retry=failed): %s", shown(folder))
                self.outcomes[folder] = Outcome(SKIPPED)
            elif not is_finished(run):
                # wrong settings raise here, before there is a folder
                means(run.config, run.resolved.weights)
                learned.networks(tuple(run.config.learned_metrics), run.resolved.device)
                loggers = build_loggers(run.config)
                self._trainer = self._trainer or build_trainer(run.config)
                before, run = run, claimed(run)
                if run.config.run != before.config.run:
                    loggers = build_loggers(run.config)
                self._loggers.setdefault(folder_of(run), loggers)
        return run

    def compute(self, runs: Sequence[Run]) -> None:
        """Computes the runs that are not finished, while no other process does."""
        first = {folder_of(run): run for run in reversed(runs)}
        folders = list(dict.fromkeys(map(folder_of, runs)))
        with ExitStack() as locks:
            # in the order of their names: otherwise two processes could wait for each other
            for folder in sorted(set(folders) - set(self.outcomes)):
                with self._isolating_errors(folder):
                    locks.enter_context(locked(folder))
                    if is_finished(first[folder]):
                        self._found(first[folder])
                    for run in runs:
                        if folder_of(run) == folder and run.experiment_job is not None:
                            experiment_jobs.join(folder, folder.parents[1], run.experiment_job)
            waiting = [first[folder] for folder in folders if folder not in self.outcomes]
            for starts in self._by_step(waiting):
                self._optimise(starts)
        if self._trainer is not None:  # no run was left to compute
            break_cycles(self._trainer)

    def _found(self, run: Run) -> None:
        folder = folder_of(run)
        log.info("already finished: %s (force=true runs it again)", shown(folder))
        if agent.run_id():  # whose W&B run would stay empty
            loggers = [each for each in build_loggers(run.config) if isinstance(each, WandbLogger)]
            config: Any = OmegaConf.to_container(stored(run.config), resolve=True)
            replay(RunWriter(run, RunFolder(folder), config, loggers))
        self.outcomes[folder] = Outcome(FINISHED_BEFORE)

    def _by_step(self, runs: Sequence[Run]) -> list[list[Start]]:
        """Groups the runs by the step that they start from: interrupted runs may be at any."""
        groups: dict[int, list[Start]] = {}
        for run in runs:
            folder = folder_of(run)
            with self._isolating_errors(folder):
                checkpoint = checkpoint_file.load(folder, run.config.run.signature or "")
                step = checkpoint.step if checkpoint else 0
                if checkpoint:
                    log.info("resuming from step %d: %s", step, shown(folder))
                groups.setdefault(step, []).append((run, checkpoint))
        return list(groups.values())

    @contextmanager
    def _isolating_errors(self, folder: Path) -> Iterator[None]:
        """An error inside ends only the run of this folder."""
        try:
            yield
        except Exception as error:
            self.outcomes[folder] = Outcome.from_error(error)

    def _optimise(self, starts: Sequence[Start]) -> None:
        """Computes runs that start from the same step."""
        config = starts[0][0].config
        trainer, self._trainer = self._trainer or build_trainer(config), None
        writers: list[RunWriter] = []
        failed = None
        try:
            with _failures_recorded(writers):
                for run, checkpoint in starts:
                    with self._isolating_errors(folder_of(run)):
                        writers.append(_writer(run, checkpoint, self._loggers[folder_of(run)]))
                for writer in writers:
                    writer.begin()
                begun = [writer for writer in writers if not writer.ended]
                done = _fit(trainer, begun, self.plan) if begun else config.steps
            unfinished = [writer for writer in begun if not writer.ended]
            if done < config.steps and unfinished:  # by max_time, or by a callback of the user's
                raise NstError(f"stopped by the Trainer before the last step: {RESUME}")
        except Exception as error:
            failed = Outcome.from_error(error)
        finally:
            break_cycles(trainer)
        for writer in writers:
            own = (
                Outcome.from_error(writer.error) if writer.error is not None else Outcome(COMPLETED)
            )
            self.outcomes[writer.folder.path] = own if writer.ended else failed or own


def _fit(trainer: L.Trainer, writers: Sequence[RunWriter], plan: Plan) -> int:
    """Runs the Trainer. Raises errors of the whole batch; an error of one run ends that run.

    Returns:
        Steps that were computed.
    """
    runs = [writer.run for writer in writers]
    config, resolved = runs[0].config, runs[0].resolved
    taps = set().union(*(run.taps for run in runs))
    late = resolved.precision != "32" and runs[0].float32_from < config.steps
    precisions = [resolved.precision, "32"] if late else [resolved.precision]
    if config.compile is not None:
        log.info("compile=%s: the first step at every size takes a while", config.compile)
    pruning = Pruning(_metrics(resolved.weights, config.backbone.name, resolved.device))
    all_stopped = dict.fromkeys(range(len(runs)), "stopped by the agent of its W&B sweep")
    with networks(runs[0], taps, precisions) as found, interruptible() as interrupts:

        def pruned_by_agent() -> bool:  # a run without an objective may be resumed
            return bool(config.objective) and interrupts.by_agent

        module = StyleTransfer(
            found[resolved.precision],
            runs,
            [writer.checkpoint for writer in writers if writer.checkpoint is not None],
            found["32"] if late else None,
            interrupted=lambda: interrupts.received is not None and not pruned_by_agent(),
            pruned=lambda: all_stopped if pruned_by_agent() else pruning.reasons,
        )
        tracker = Tracker(
            writers,
            config.snapshot_every,
            config.checkpoint_seconds,
            pruning,
            interrupts,
            log_every_step=bool(config.trainer.get("callbacks")) and bool(config.logger),
        )
        name = f"{len(runs)} runs" if len(runs) > 1 else config.run.name or ""
        trainer.callbacks += [tracker, ProgressBar(name, config.steps, plan)]  # type: ignore[attr-defined]
        trainer.loggers = [each for writer in writers for each in writer.loggers if _works(each)]
        trainer.fit(module)
    return tracker.steps_done


def _works(logger: Logger) -> bool:
    """Whether a logger has begun. The Trainer would end with the error of one that has not."""
    try:
        getattr(logger, "experiment", None)
    except Exception:  # reported when the logger began
        return False
    return True


@contextmanager
def _failures_recorded(writers: Sequence[RunWriter]) -> Iterator[None]:
    """Records the error of a batch in the folder of every unfinished run."""
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


def _writer(run: Run, checkpoint: Checkpoint | None, loggers: Sequence[Logger]) -> RunWriter:
    """The writer of a run, with its folder cleared of an earlier attempt and started."""
    folder = RunFolder(folder_of(run))
    facts = {
        **machine.facts(run.resolved.device),
        "precision": run.resolved.precision,
        "weights_sha256": run.resolved.weights.sha256,
        "backbone": run.config.backbone.name,
        "inputs_sha256": {
            **({"content": run.content.sha256} if run.content else {}),
            **{
                name: style.picture.sha256
                for name, style in zip(style_names(len(run.styles)), run.styles, strict=True)
            },
        },
    }
    if checkpoint:
        now = {**facts, "packages": package_versions()}
        if changed := machine.changes(read_facts(folder.path), now):
            text = "%s: resumes with %s; its picture may differ from that of an uninterrupted run"
            log.warning(text, shown(folder.path), "; ".join(changed))
    node = stored(run.config)
    config: Any = OmegaConf.to_container(node, resolve=True)
    found = run.config.run
    folder.clear(kept=range(0, checkpoint.step if checkpoint else 0, run.config.snapshot_every))
    folder.start(
        OmegaConf.to_yaml(node, resolve=True),
        {"signature": found.signature, "wandb_id": found.wandb_id, **facts},
    )
    return RunWriter(run, folder, config, loggers, checkpoint)
