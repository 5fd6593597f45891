"""Guided search: a sweeper whose next jobs Optuna chooses from the results of earlier ones.

Hydra finds it because this folder is part of the namespace package ``hydra_plugins``. Hydra imports
it at every start, so slow imports are deferred until a sweep begins.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

log = logging.getLogger(__name__)


class OptunaSweeper(Sweeper):
    """Launches the trials of a study, a batch at a time, and reports how they ended.

    Args:
        sampler: of Optuna's, by ``_target_``, with ``_partial_``: it gets its seed.
        pruner: of Optuna's, by ``_target_``; None: no trial is pruned.
        n_trials: of the study, in all processes, whatever becomes of them.
        trials_per_batch: launched together; None: as many as the launcher computes at little cost.
        stop_dominated: with several objectives, the margin by which a completed trial must be
            better at the same step for a trial to stop; None: none stops.
        seed: of the samplers.
        params: search space by key, as an experiment's file has it; read from the config.
    """

    def __init__(
        self,
        sampler: Any,
        pruner: Any = None,
        n_trials: int = 30,
        trials_per_batch: int | None = None,
        stop_dominated: float | None = None,
        seed: int = 0,
        params: Mapping[str, str] | None = None,
    ) -> None:
        self.sampler = sampler
        self.n_trials = n_trials
        self.trials_per_batch = trials_per_batch
        self.seed = seed

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Called by Hydra before ``sweep``. Checks everything before the study has a file.

        Raises:
            ConfigError: if Optuna is not installed, for wrong settings of the search, and for a
                choice or a bound that no run can have.
        """
        from nst.sweeps.search.setup import check, require_optuna

        require_optuna()
        self.hydra_context, self.config = hydra_context, config
        self.space = check(config, hydra_context.config_loader)
        self.launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=hydra_context, task_function=task_function
        )

    def sweep(self, arguments: list[str]) -> None:
        """Runs the study until it has all its trials."""
        from hydra.utils import instantiate

        from nst.sweeps.search.batch_size import trials_per_batch
        from nst.sweeps.search.setup import settings
        from nst.sweeps.search.study import Study
        from nst.sweeps.search.trials import progress, tell

        config, launcher = self.config, self.launcher
        assert config is not None and launcher is not None  # since setup
        outputs, name = Path(config.outputs), str(config.study)
        batch = self.trials_per_batch or trials_per_batch(config, self.n_trials)
        study = Study(
            outputs,
            name,
            self.space,
            list(config.objective),
            settings(config, self.space),
            instantiate(self.sampler),
            self.seed,
        )
        first = 0
        try:
            while asked := study.ask(batch, self.n_trials):
                jobs = [[*each.overrides, f"trial={each.number}"] for each in asked]
                launcher.launch(jobs, first)
                waiting = tell(study, asked, first, Path(config.hydra.sweep.dir), outputs)
                first += len(jobs)
                log.info("%s", progress(study, self.n_trials))
                if waiting:
                    text = "study %s waits for votes on %d runs: nst-report vote study=%s; %s"
                    log.info(text, name, len(waiting), name, "then run the same command again")
                    break
        finally:
            study.close()
