"""The launcher that computes the runs of a sweep as batches: ``hydra/launcher=vectorized``.

Hydra finds it because this folder is part of the namespace package ``hydra_plugins``. Hydra imports
it at every start, so slow imports are deferred until a sweep is launched.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

log = logging.getLogger(__name__)


class VectorizedLauncher(Launcher):
    """Divides a sweep into parts and computes each as a batch, here or in other processes.

    Args:
        max_batch_size: most images in a batch; None: as many as fit in memory and make it faster.
        over: another launcher of Hydra's, which runs each part as one job of its own; None: the
            parts are computed in this process, one after the other.
        workers: parts that ``over`` computes at the same time; None: as its own settings say.
    """

    def __init__(
        self, max_batch_size: int | None = None, over: Any = None, workers: int | None = None
    ) -> None:
        self.max_batch_size = max_batch_size
        self.over = over
        self.workers = workers

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
            ConfigError: if a setting of the launcher is wrong, or ``hydra.job.chdir`` is set.
        """
        from nst.sweeps.vectorized.finished import FinishedJobs
        from nst.sweeps.vectorized.parts import parts
        from nst.sweeps.vectorized.worker import Worker

        self._check()
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        jobs = dict(enumerate(job_overrides, start=initial_job_idx))
        returns = FinishedJobs(self.config).finish(jobs, self.jobs.plan)
        left = {number: own for number, own in jobs.items() if number not in returns}
        if self.over is not None and left:
            from nst.sweeps.vectorized.over import launch

            most, workers = self.max_batch_size, self.workers
            returns |= launch(self.over, self.context, self.config, left, most, workers)
        elif left:
            worker = Worker(self.context, self.config, self.jobs, left, self.max_batch_size)
            log.info("Launching %d jobs locally, in batches", len(left))
            for some in parts(left, worker.prepare):
                for part in some:
                    returns |= worker.compute(part)
        return [returns[number] for number in jobs]

    def _check(self) -> None:
        from nst.utils.errors import ConfigError

        for name in ("max_batch_size", "workers"):
            value = getattr(self, name)
            if value is not None and not (type(value) is int and value >= 1):
                problem = "must be a whole number from 1, or null"
                raise ConfigError(f"hydra.launcher.{name}", value, problem)
        if self.config.hydra.job.chdir:  # a batch is computed in one place
            raise ConfigError("hydra.job.chdir", True, "not with hydra/launcher=vectorized")
