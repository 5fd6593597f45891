"""The sweeper of every sweep: Hydra's basic one, and a job for each row of ``pairs=table.csv``.

Hydra finds it because this folder is part of the namespace package ``hydra_plugins``. Hydra imports
it at every start, so slow imports are deferred until a sweep begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException


class PairsSweeper(BasicSweeper):
    """Launches every combination of the swept values with the rows of a table of pairs.

    Args:
        max_batch_size: most jobs that are launched together; None: all.
        params: values to sweep over, by key; read from the config.
    """

    def __init__(
        self, max_batch_size: int | None = None, params: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(max_batch_size)

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Called by Hydra before ``sweep``. Composes each value, before the sweep has a folder.

        Raises:
            HydraException: if a value cannot be composed.
            ConfigError: if that is due to a table; names the row.
        """
        from nst.config.messages import one_line
        from nst.config.pairs import in_row
        from nst.sweeps.composer import Composer
        from nst.sweeps.job_list import job_list

        loader = hydra_context.config_loader
        self._list = job_list(config, loader)
        composed: Sequence[str] = []
        try:
            for job in Composer(loader, config).check(self._list.jobs):
                composed = job
        except (HydraException, OmegaConfBaseException) as error:
            row = self._list.row(composed)
            if row is None:
                raise
            raise in_row(row.table, row.number, one_line(error)) from error
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def split_arguments(  # type: ignore[override]  # static in Hydra
        self, overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        """The jobs, as many at a time as are launched together."""
        jobs = self._list.jobs
        if max_batch_size is None:
            return [jobs]
        return [*self.split_overrides_to_chunks(jobs, max_batch_size)]

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Does nothing: ``setup`` has composed the values of all batches."""
