"""Prepares, computes and finishes jobs of a sweep in this process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.utils import JobReturn, configure_log, filter_overrides, run_job, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict, read_write

from nst.sweeps.composer import Composer
from nst.sweeps.jobs import Job, Jobs, Result
from nst.sweeps.sweep_folder import Part
from nst.sweeps.vectorized.finished import FinishedJobs
from nst.sweeps.vectorized.pictures import SharedPictures
from nst.sweeps.vectorized.planner import Batches
from nst.transfer.run import Run

log = logging.getLogger("hydra_plugins.nst_vectorized")


class Worker:
    """Computes parts of a sweep.

    Args:
        context: of Hydra's.
        config: of the sweep, ``hydra`` included.
        jobs: the task function.
        overrides: of each job, by its number.
        most: images in a batch; None: no limit but memory and speed.
    """

    def __init__(
        self,
        context: HydraContext,
        config: DictConfig,
        jobs: Jobs,
        overrides: Mapping[int, Sequence[str]],
        most: int | None,
    ) -> None:
        setup_globals()
        self._context, self._config, self._jobs = context, config, jobs
        self._overrides, self._most = overrides, most
        self._composer = Composer(context.config_loader, config)
        self._pictures = SharedPictures()
        self._finished = FinishedJobs(config)
        self._prepared: dict[int, tuple[DictConfig, Job]] = {}
        self.log_as_hydra()

    def prepare(self, number: int) -> Run | None:
        """The run of a job; None if it is refused. It is kept until the job is computed."""
        if number not in self._prepared:
            config = self._composer.compose(self._overrides[number])
            subfolder = config.hydra.output_subdir
            with open_dict(config):
                config.hydra.job.id = config.hydra.job.num = number
                config.hydra.output_subdir = None
            # no job has begun yet: it has no files, and calls no callbacks
            without_callbacks = HydraContext(self._context.config_loader, Callbacks())
            job = self._run(config, self._jobs.prepare, without_callbacks).return_value
            with read_write(config.hydra):
                config.hydra.output_subdir = subfolder
            if job.run is not None:
                job.run = self._pictures.share(job.run)
            self._prepared[number] = config, job
        return self._prepared[number][1].run

    def forget(self) -> None:
        """Drops what was prepared and not computed."""
        self._prepared.clear()

    def compute(self, part: Part) -> dict[int, JobReturn]:
        """Prepares every job of a part, then finishes the jobs in order.

        The first job of a batch computes the whole batch; the others find how their runs ended.

        Raises:
            Interrupted: if a signal came.
        """
        batches = Batches(self._most, self._jobs.plan, part.apart)
        runs = []
        for number in part.jobs:
            run = self.prepare(number)
            if run is not None:
                batches.add(number, run)
                runs.append((self._overrides[number], run, self._finished.files(run)))
        returns = {}
        for number in part.jobs:
            config, job = self._prepared.pop(number)
            log.info("\t#%d : %s", number, " ".join(filter_overrides(self._overrides[number])))

            def task(cfg: DictConfig, job: Job = job, number: int = number) -> Result:
                return self._jobs.finish(job, partial(batches.outcome, number))

            returns[number] = self._run(config, task, self._context)
            self.log_as_hydra()
        self._finished.remember(runs)
        return returns

    def _run(
        self, config: DictConfig, task: Callable[[DictConfig], Any], context: HydraContext
    ) -> JobReturn:
        return run_job(
            hydra_context=context,
            task_function=task,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )

    def log_as_hydra(self) -> None:
        """Logs as Hydra does between jobs, whose own settings a job replaces."""
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
