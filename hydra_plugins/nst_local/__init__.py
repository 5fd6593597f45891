"""The launcher with a process for each GPU, or for so many cores: ``hydra/launcher=local``.

Hydra finds it because this folder is part of the namespace package ``hydra_plugins``. Hydra imports
it at every start, so slow imports are deferred until a sweep is launched.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, configure_log, filter_overrides, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

log = logging.getLogger(__name__)


class LocalLauncher(Launcher):
    """Runs jobs in processes of this machine, each with a GPU or with cores of its own.

    A process that ends before its job does, such as by a signal, loses that job alone.

    Args:
        processes: number of them; None: one for each visible GPU, else one for each ``cores``.
        cores: of each process on a machine without GPUs; None: all, divided by ``processes``.
    """

    def __init__(self, processes: int | None = None, cores: int | None = None) -> None:
        self.processes = processes
        self.cores = cores

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Called by Hydra before ``launch``."""
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Runs the jobs.

        Raises:
            ConfigError: if ``processes`` or ``cores`` is not a whole number from 1.
            KeyboardInterrupt: after a signal, when all processes have ended.
        """
        from nst.sweeps.local import Request, places, run

        found = places(self.processes, self.cores)
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        log.info("Launching %d jobs in %d processes", len(job_overrides), len(found))
        for number, overrides in enumerate(job_overrides, start=initial_job_idx):
            log.info("\t#%d : %s", number, " ".join(filter_overrides(overrides)))
        return run(
            found,
            Request(self.context, self.config, self.task),
            dict(enumerate(job_overrides, start=initial_job_idx)),
        )
