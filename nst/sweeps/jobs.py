"""The jobs of a sweep, or the only one: what Hydra calls with each composed config."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from nst.config.compose import to_config
from nst.config.experiment import Member
from nst.config.messages import BAD_INPUT, exit_status, one_line
from nst.runs.outcome import SKIPPED, Outcome
from nst.runs.plan import Plan
from nst.runs.signals import terminate, wait_for_slurm
from nst.sweeps import sweep, sweep_folder
from nst.sweeps.sweep_folder import Ended
from nst.utils.errors import Interrupted
from nst.utils.files import absolute, shown

if TYPE_CHECKING:  # seconds to import
    from nst.transfer.run import Run


@dataclass
class Job:
    """What a job asks for.

    Attributes:
        overrides: as typed.
        member: its place in an experiment, if it has one and the config is right.
        run: checked and identified; None if it is refused.
        refusal: how it ended, if it is refused.
    """

    overrides: list[str]
    member: Member | None = None
    run: Run | None = None
    refusal: Outcome | None = None


class Jobs:
    """Hydra's task: computes the run that a config describes, and records how it ended.

    Args:
        plan: how far the sweep has come. A worker process has one of its own: it knows nothing of
            the other jobs.
    """

    def __init__(self, plan: Plan | None = None) -> None:
        self.plan = plan or Plan()

    def __reduce__(self) -> tuple[type[Jobs], tuple[()]]:
        return type(self), ()

    def __call__(self, cfg: DictConfig) -> str | None:
        """One job, from its config to its end: see ``finish``."""
        job = self.prepare(cfg)

        def alone() -> Outcome:
            from nst.runs.execute import compute

            assert job.run is not None
            return compute([job.run], self.plan)[0]

        parent = os.getppid()
        try:
            return self.finish(job, alone)
        except Interrupted as error:
            owner = signal.getsignal(error.signal)
            if error.signal == signal.SIGTERM and callable(owner) and owner is not terminate:
                owner(error.signal, None)  # a worker process has its own, such as submitit's
                wait_for_slurm(error, parent)
            raise

    def prepare(self, cfg: DictConfig) -> Job:
        """What Hydra's current job asks for; nothing is computed, and no folder is made."""
        hydra_config = HydraConfig.get()
        multirun = hydra_config.mode == RunMode.MULTIRUN
        job = Job(sweep.overrides(hydra_config))
        try:
            config = to_config(cfg)
            config.outputs = str(absolute(config.outputs, hydra_config.runtime.cwd))
            config.run.overrides = job.overrides
            job.member = sweep.member(hydra_config, asdict(config.experiment))
            if config.retry and sweep_folder.failed_before(Path(config.outputs), job.overrides):
                config.retry = None  # it failed before it had a folder that could say so
            # seconds to import: a wrong config is told before
            from nst.runs.identify import identify
            from nst.runs.inputs import prepare

            group = Path(hydra_config.sweep.dir).name if multirun else None
            job.run = identify(prepare(config, job.member), group)
        except Exception as error:
            job.refusal = Outcome.of(error)
        return job

    def finish(self, job: Job, compute: Callable[[], Outcome]) -> str | None:
        """Computes the run of Hydra's current job, then reports and records how it ended.

        In a sweep one that failed returns None: Hydra would print several lines for an exception,
        and a sweeper of several batches would end with the batch.

        Args:
            job: as prepared.
            compute: its run, unless it is refused.

        Returns:
            The run folder, printed as the last line of stdout.
        """
        hydra_config = HydraConfig.get()
        multirun = hydra_config.mode == RunMode.MULTIRUN
        try:
            status, error, folder = job.refusal or compute()
        finally:
            self.plan.done += 1
        if error is not None:
            if os.environ.get("NST_FULL_ERROR"):
                raise error
            why = one_line(error)
            print(f"nst: {why}", file=sys.stderr)
            if not multirun:
                sys.exit(exit_status(error))
            sweep_dir, number = Path(hydra_config.sweep.dir), hydra_config.job.num
            refused = exit_status(error) == BAD_INPUT
            if refused:
                folder = None  # if there is one, an earlier attempt left it
                sweep_folder.record_refusal(sweep_dir, number, why, job.overrides, job.member)
            sweep_folder.record(sweep_dir, Ended(number, status, folder, why, refused))
            return None
        if multirun:
            ended = Ended(hydra_config.job.num, status, folder)
            sweep_folder.record(Path(hydra_config.sweep.dir), ended)
        if status != SKIPPED and folder is not None:
            print(shown(folder), flush=True)
        return str(folder)
