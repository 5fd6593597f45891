"""The launcher that computes the runs of a sweep as batches: ``hydra/launcher=vectorized``.

Hydra finds it because this folder is part of the namespace package ``hydra_plugins``. Hydra imports
it at every start, so slow imports are deferred until a sweep is launched.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, configure_log, filter_overrides, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

log = logging.getLogger(__name__)


class VectorizedLauncher(Launcher):
    """Prepares every job of a sweep, then finishes the jobs in order.

    The first job of a batch computes the whole batch; the others find how their runs ended.

    Args:
        max_batch_size: most images in a batch; None: as many as fit in memory and make it faster.
    """

    def __init__(self, max_batch_size: int | None = None) -> None:
        self.max_batch_size = max_batch_size

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Called by Hydra before ``launch``."""
        self.jobs: Any = task_function  # nst.sweeps.jobs.Jobs
        self.context = hydra_context
        self.config = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Runs the jobs.

        Raises:
            ConfigError: if ``max_batch_size`` is not a whole number from 1, or if
                ``hydra.job.chdir`` is set.
        """
        from hydra._internal.callbacks import Callbacks

        from nst.sweeps.jobs import Job, Result
        from nst.sweeps.vectorized.planner import Batches

        self._check()
        setup_globals()
        self._log_as_hydra()
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        log.info("Launching %d jobs locally, in batches", len(job_overrides))
        without_callbacks = HydraContext(
            self.context.config_loader, Callbacks()
        )  # no job has begun yet
        batches = Batches(self.max_batch_size, self.jobs.plan)
        jobs = []
        for number, overrides in enumerate(job_overrides, start=initial_job_idx):
            config = self._compose(number, overrides)
            job = self._run(config, self.jobs.prepare, without_callbacks).return_value
            if job.run is not None:
                job.run = batches.add(number, job.run)
            jobs.append((number, config, job))
        returns = []
        for number, config, job in jobs:
            chosen = filter_overrides(job_overrides[number - initial_job_idx])
            log.info("\t#%d : %s", number, " ".join(chosen))

            def task(cfg: DictConfig, job: Job = job, number: int = number) -> Result:
                return self.jobs.finish(job, partial(batches.outcome, number))

            returns.append(self._run(config, task, self.context))
            self._log_as_hydra()
        return returns

    def _check(self) -> None:
        from nst.utils.errors import ConfigError

        most = self.max_batch_size
        if most is not None and not (type(most) is int and most >= 1):
            problem = "must be a whole number from 1, or null"
            raise ConfigError("hydra.launcher.max_batch_size", most, problem)
        if self.config.hydra.job.chdir:  # a batch is computed in one place
            raise ConfigError("hydra.job.chdir", True, "not with hydra/launcher=vectorized")

    def _compose(self, number: int, overrides: Sequence[str]) -> DictConfig:
        config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        return config

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

    def _log_as_hydra(self) -> None:
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
