"""Hydra's task function: computes the run of each job."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from nst.config.compose import to_config
from nst.config.experiment import ExperimentJob
from nst.config.messages import BAD_INPUT, exit_status, one_line
from nst.runner.outcome import SKIPPED, Outcome
from nst.runner.plan import Plan
from nst.runner.record import RunRecord
from nst.runner.signals import terminate, wait_for_slurm
from nst.sweeps import sweep, sweep_folder
from nst.sweeps.job_list import overrides
from nst.sweeps.sweep_folder import JobOutcome
from nst.utils.errors import Interrupted
from nst.utils.files import absolute, shown

if TYPE_CHECKING:  # seconds to import
    from nst.transfer.run import Run


Result = str | float | list[float] | None
"""What a job returns: a run folder, values of the objective, or nothing if it failed."""


@dataclass
class Job:
    """A job and its run.

    Attributes:
        overrides: as typed.
        experiment_job: its job of an experiment; None: it has none, or its config is wrong.
        run: checked and identified; None if the job is refused.
        refusal: its outcome if the job is refused.
    """

    overrides: list[str]
    experiment_job: ExperimentJob | None = None
    run: Run | None = None
    refusal: Outcome | None = None


class Jobs:
    """Hydra's task function: computes the run of a composed config, and records its outcome.

    Args:
        plan: of the sweep. A worker process has a plan of its own, without the other jobs.
    """

    def __init__(self, plan: Plan | None = None) -> None:
        self.plan = plan or Plan()

    def __reduce__(self) -> tuple[type[Jobs], tuple[()]]:
        return type(self), ()

    def __call__(self, cfg: DictConfig) -> Result:
        """Prepares, computes and finishes one job."""
        job = self.prepare(cfg)

        def alone() -> Outcome:
            from nst.runner.execute import compute

            assert job.run is not None
            return compute([job.run], self.plan)[0]

        with signals_handed_on():
            return self.finish(job, alone)

    def prepare(self, cfg: DictConfig) -> Job:
        """Hydra's current job with its run. Computes nothing and makes no folder."""
        hydra_config = HydraConfig.get()
        multirun = hydra_config.mode == RunMode.MULTIRUN
        job = Job(overrides(hydra_config))
        try:
            config = to_config(cfg)
            config.outputs = str(absolute(config.outputs, hydra_config.runtime.cwd))
            config.run.overrides = job.overrides
            job.experiment_job = sweep.experiment_job(hydra_config, asdict(config.experiment))
            if config.retry and sweep_folder.failed_before(Path(config.outputs), job.overrides):
                config.retry = None  # it was refused before, so that it has no run folder
            # seconds to import: a wrong config is reported before
            from nst.runner.identify import identify
            from nst.runner.inputs import prepare

            group = Path(hydra_config.sweep.dir).name if multirun else None
            job.run = identify(prepare(config, job.experiment_job), group)
            if multirun and config.trial is not None:
                from nst.sweeps.search.judge import judge_of

                job.run = replace(job.run, judge=judge_of(config, hydra_config.sweeper))
        except Exception as error:
            job.refusal = Outcome.from_error(error)
        return job

    def finish(self, job: Job, compute: Callable[[], Outcome]) -> Result:
        """Computes the run of Hydra's current job, then reports and records its outcome.

        A job of a sweep that fails returns None instead of raising: for an exception, Hydra prints
        several lines, and a sweeper that launches several batches ends with the first.

        Args:
            job: as ``prepare`` returns it.
            compute: computes its run; not called if the job is refused.

        Returns:
            The values of the objective, for sweepers; without one, the run folder. The folder is
            also the last line on stdout.
        """
        hydra_config = HydraConfig.get()
        multirun = hydra_config.mode == RunMode.MULTIRUN
        number = hydra_config.job.num if multirun else 0
        try:
            status, error, folder = job.refusal or compute()
        finally:
            self.plan.end(number)
        if error is not None:
            if os.environ.get("NST_FULL_ERROR"):
                raise error
            why = one_line(error)
            print(f"nst: {why}", file=sys.stderr)
            if not multirun:
                sys.exit(exit_status(error))
            sweep_dir = Path(hydra_config.sweep.dir)
            refused = exit_status(error) == BAD_INPUT
            if refused:
                folder = None  # of an earlier attempt, if there is one
                sweep_folder.record_refusal(
                    sweep_dir, number, why, job.overrides, job.experiment_job
                )
            sweep_folder.record(sweep_dir, JobOutcome(number, status, folder, why, refused))
            return None
        if multirun:
            ended = JobOutcome(number, status, folder)
            sweep_folder.record(Path(hydra_config.sweep.dir), ended)
        if status != SKIPPED and folder is not None:
            print(shown(folder), flush=True)
        return _result(job, folder)


@contextmanager
def signals_handed_on() -> Iterator[None]:
    """Hands a SIGTERM that ended runs to the handler of a worker process, such as submitit's."""
    parent = os.getppid()
    try:
        yield
    except Interrupted as error:
        owner = signal.getsignal(error.signal)
        if error.signal == signal.SIGTERM and callable(owner) and owner is not terminate:
            owner(error.signal, None)
            wait_for_slurm(error, parent)
        raise


def _result(job: Job, folder: Path | None) -> Result:
    objective = job.run.config.objective if job.run else []
    if not objective or folder is None:
        return str(folder)
    record = RunRecord(folder)
    values = [record.measure(name) for name in objective]
    found = [float("nan") if value is None else value for value in values]
    return found[0] if len(found) == 1 else found
