"""The jobs of a sweep: every combination of values, and of the rows of a table of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf

from nst.config import pairs
from nst.config.arguments import for_hydra
from nst.config.pairs import Row, subject
from nst.utils.errors import ConfigError

PAIR = "pair"
"""The config group that sets content and style together, as a table of pairs does."""


@dataclass(frozen=True)
class JobList:
    """The jobs of a sweep.

    Attributes:
        jobs: the overrides of each.
        rows: of the table of pairs, which vary slowest; empty: there is none.
    """

    jobs: list[list[str]]
    rows: list[Row] = field(default_factory=list)

    def row(self, job: Sequence[str]) -> Row | None:
        """The row that a job is made of."""
        number = self.jobs.index(list(job))
        return self.rows[number * len(self.rows) // len(self.jobs)] if self.rows else None


def overrides(config: Any) -> list[str]:
    """The overrides of a job, or of a whole sweep, as typed, interpolations included.

    Args:
        config: its ``hydra`` config.
    """
    typed: Any = OmegaConf.to_container(config.overrides.task, resolve=False)
    return list(typed)


def expected_jobs(config: Any, loader: ConfigLoader | None = None) -> list[list[str]]:
    """Overrides of the jobs that a sweep will have, for an estimate of its time.

    ``Sweep.jobs`` has those that Hydra launches: ``shuffle`` gives another order each time.

    Args:
        config: composed for a multirun, ``hydra`` included.
        loader: Hydra's; ``glob`` needs it for the options of a group.

    Returns:
        An empty list for sweepers that choose their jobs as they run.

    Raises:
        ConfigError: as ``job_list``.
    """
    if not config.hydra.sweeper._target_.endswith((".BasicSweeper", ".PairsSweeper")):
        return []
    try:
        return job_list(config, loader).jobs
    except HydraException:
        return []


def job_list(config: Any, loader: ConfigLoader | None = None) -> JobList:
    """The jobs of a sweep by ``hydra/sweeper=pairs``; arguments as those of ``expected_jobs``.

    Raises:
        ConfigError: if a table of pairs is wrong, or the command line sets one of its columns.
        HydraException: for values that cannot be enumerated, such as ``interval(0, 1)``.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    found, tables = sweep_overrides(config, loader)
    (batch,) = BasicSweeper.split_arguments(found, None)
    if not tables:
        return JobList([list(job) for job in batch])
    rows = [row for table in tables for row in pairs.rows(table, _places(config))]
    return JobList([[*row.overrides, *job] for row in rows for job in batch], rows)


def sweep_overrides(
    config: Any, loader: ConfigLoader | None = None
) -> tuple[list[Override], list[str]]:
    """The overrides of a sweep, of ``hydra.sweeper.params`` and typed, and its tables of pairs.

    Args:
        config: composed for a multirun, ``hydra`` included.
        loader: Hydra's; ``glob`` needs it for the options of a group.

    Raises:
        ConfigError: if a table of pairs is wrong, or the command line sets one of its columns.
        HydraException: for an override that cannot be parsed.
    """
    params = (config.hydra.sweeper.params or {}).items()
    declared = [for_hydra(f"{key}={value}", _places(config)) for key, value in params]
    parser = OverridesParser.create(loader)
    typed = parser.parse_overrides(overrides(config.hydra))
    return _merged(parser.parse_overrides(declared), typed)


def _places(config: Any) -> list[str]:
    """The folders with configs."""
    sources = config.hydra.runtime.config_sources
    return [each.path for each in sources if each.schema == "file"]


def _merged(
    declared: Sequence[Override], typed: Sequence[Override]
) -> tuple[list[Override], list[str]]:
    """The overrides of a sweep, and its tables of pairs.

    Args:
        declared: in the file of an experiment. The command line takes the place of those that set
            the same: ``content.path`` that of ``content``, a table that of its columns and of
            ``pair``.
        typed: on the command line.
    """
    tables = _tables([*declared, *typed])
    columns = {subject(name): table for table in tables for name in pairs.columns(table)}
    given = {subject(each.key_or_group): each for each in typed}
    for name in columns.keys() & given.keys():
        problem = f"its column {name} is set by {given[name].input_line} as well; omit one of them"
        raise ConfigError(pairs.KEY, columns[name], problem)
    replaced = {*columns, *given, *([PAIR] if tables else [])}
    same = {each.get_key_element() for each in typed}
    kept = [
        each
        for each in declared
        if subject(each.key_or_group) not in replaced or each.get_key_element() in same
    ]
    return [each for each in (*kept, *typed) if each.key_or_group != pairs.KEY], tables


def _tables(found: Sequence[Override]) -> list[str]:
    """The tables that the last override of ``pairs`` names."""
    last = [each for each in found if each.key_or_group == pairs.KEY][-1:]
    named = [each.sweep_iterator() if each.is_sweep_override() else [each.value()] for each in last]
    texts = [getattr(value, "text", value) for values in named for value in values]  # of quotes
    return [str(text) for text in texts if text is not None]
