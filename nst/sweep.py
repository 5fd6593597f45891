"""A sweep: which jobs it has, how far it has come, and the picture that ends it."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import configure_log
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from nst.errors import ConfigError, NstError, reason
from nst.experiment import NEUTRAL, NO_EXPERIMENT, Member, told
from nst.files import save_png, write_whole
from nst.sweep_record import DONE, NOT_DONE, Ended, outcomes

JOBS = "jobs.json"
PICTURE = "side_by_side.png"


class Plan:
    """How far one or more sweeps of this process have come, and the time that is left.

    Args:
        costs: work of each job, in any unit.

    Attributes:
        done: jobs that ended, one way or another, and had their turn.
        together: numbers, from 0, of the jobs that are computed in one batch now; empty: the job
            whose turn it is is computed alone.
    """

    def __init__(self, costs: Sequence[float]) -> None:
        self.costs = list(costs)
        self.done = 0
        self.together: list[int] = []
        self._ahead: set[int] = set()  # jobs that were computed; it may not be their turn yet
        self._work = self._seconds = 0.0

    @property
    def now(self) -> list[int]:
        """Numbers of the jobs that are computed now."""
        return self.together or [self.done]

    def computed(self, seconds: float) -> None:
        """The current jobs were computed in this time; finished runs that were found are not."""
        self._work += self._cost(self.now)
        self._seconds += seconds
        self._ahead.update(self.now)

    def left(self, share: float, seconds: float) -> float:
        """Seconds until the last job is done, if none of them is finished already.

        Args:
            share: how much of the current jobs is done, above 0.
            seconds: that it took.
        """
        current = self._cost(self.now)
        pace = (self._seconds + seconds) / max(self._work + share * current, 1e-9)
        later = set(range(self.done + 1, len(self.costs))) - self._ahead - set(self.now)
        return pace * ((1 - share) * current + self._cost(later))

    def _cost(self, numbers: Iterable[int]) -> float:
        return sum(self.costs[number] for number in numbers if number < len(self.costs))


plan: Plan | None = None
"""Of the sweep that runs in this process, or of all sweeps of ``nst-report --run``."""

_sweep_dir: Path | None = None
_config: DictConfig | None = None
_plan_is_ours = False


class SweepCallback(Callback):
    """Remembers where the sweep of this process keeps its record, and writes down its jobs.

    Hydra's ``on_multirun_end`` is skipped once a job fails, so the end is not handled here but in
    ``summarise``, which ``main`` calls whatever happens.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called before the first job."""
        global _sweep_dir, _config, plan, _plan_is_ours
        _config = config
        _sweep_dir = _folder(config.hydra)
        declared = jobs(config)
        record = {"asked": _now(), "base": _base(config), "jobs": declared}
        text = json.dumps(record, indent=1)
        write_whole(_sweep_dir / JOBS, f"{text}\n".encode())
        if plan is None:  # nst-report has one of all its sweeps
            plan, _plan_is_ours = Plan([1.0] * len(declared)), True


def _folder(config: Any) -> Path:
    """Makes the sweep's folder; one that another sweep of the same second has gets a number.

    Args:
        config: Hydra's own part of the config; the jobs get the folder from it.
    """
    folder = Path(config.sweep.dir)
    declared = OmegaConf.to_container(config.sweep, resolve=False)
    if "${now:" not in str(declared):  # a folder that was chosen is taken as it is
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    own, number = folder, 1
    while True:
        try:
            own.mkdir(parents=True)
            break
        except FileExistsError:
            number += 1
            own = folder.with_name(f"{folder.name}-{number}")
    if own != folder:
        quoted = str(own).replace("'", r"\'")
        with read_write(config), open_dict(config):
            config.sweep.dir = str(own)
            config.overrides.hydra.append(f"hydra.sweep.dir='{quoted}'")
    return own


def jobs(config: DictConfig) -> list[list[str]]:
    """Overrides of every job of a sweep, in order.

    Args:
        config: composed for a multirun, ``hydra`` included.

    Returns:
        An empty list for sweepers that do not know their jobs beforehand.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    sweeper = config.hydra.sweeper
    if not sweeper._target_.endswith(".BasicSweeper"):
        return []
    texts = [f"{key}={value}" for key, value in (sweeper.params or {}).items()]
    texts += overrides(config.hydra)
    parsed = OverridesParser.create().parse_overrides(texts)
    try:
        (batch,) = BasicSweeper.split_arguments(parsed, None)
    except HydraException:
        return []
    return [list(job) for job in batch]


def overrides(config: Any) -> list[str]:
    """A job's overrides as typed, interpolations included.

    Args:
        config: Hydra's own part of the job's config.
    """
    typed: Any = OmegaConf.to_container(config.overrides.task, resolve=False)
    return list(typed)


def member(config: Any, experiment: dict[str, Any]) -> Member | None:
    """Place of a job in its experiment.

    Args:
        config: Hydra's own part of the job's config.
        experiment: the job's declared experiment.
    """
    if experiment["name"] == NO_EXPERIMENT:
        return None
    own = overrides(config)
    record: dict[str, Any] = {"jobs": [], "base": "", "asked": _now()}
    if config.mode == RunMode.MULTIRUN:
        record = json.loads((Path(config.sweep.dir) / JOBS).read_text(encoding="utf-8"))
    return Member(experiment, own, record["jobs"], record["base"], record["asked"])


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _base(config: DictConfig) -> str:
    """Hash of the config that the jobs' overrides are applied to."""
    plain = OmegaConf.to_container(config, resolve=False)
    assert isinstance(plain, dict)
    shared = {key: value for key, value in plain.items() if key not in NEUTRAL}
    text = json.dumps(shared, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def started() -> bool:
    """Whether this process began a sweep."""
    return _sweep_dir is not None


def summarise() -> int:
    """Ends a sweep: how its jobs ended, the finished runs side by side, a table for trackers.

    Returns:
        The exit status: of the first job that failed, or 0.
    """
    global _sweep_dir, _config, plan, _plan_is_ours
    sweep_dir, _sweep_dir = _sweep_dir, None
    config, _config = _config, None
    if _plan_is_ours:
        plan, _plan_is_ours = None, False
    if sweep_dir is None or config is None:
        return 0
    ended = outcomes(sweep_dir)
    if not ended:
        return 0
    declared = json.loads((sweep_dir / JOBS).read_text(encoding="utf-8"))["jobs"]
    _tell(ended, declared)
    failed = [each.number for each in ended if each.outcome in NOT_DONE]
    # a job that was refused has a folder there
    refused = [number for number in failed if (sweep_dir / str(number)).exists()]
    if len(refused) < len(ended):  # else there is nothing to compare
        _show(config, sweep_dir, ended, declared)
    if not failed:
        return 0
    return ConfigError.exit_status if failed[0] in refused else NstError.exit_status


def _show(
    config: DictConfig, sweep_dir: Path, ended: list[Ended], declared: list[list[str]]
) -> None:
    """The picture that ends a sweep, the table for trackers, and the folders of finished runs."""
    from nst import sweep_table  # seconds to import: not before the sweep has begun
    from nst.side_by_side import side_by_side

    done = (each.folder for each in ended if each.folder and each.outcome in DONE)
    folders = list(dict.fromkeys(done))
    picture = sweep_dir / PICTURE
    try:
        if folders:
            save_png(side_by_side(folders), picture)
            print(f"side by side: {picture}")
    except (OSError, ValueError) as error:
        print(f"nst: no side-by-side picture: {error}", file=sys.stderr)
    try:
        configure_log(config.hydra.job_logging)  # Hydra's own, by now, writes to stdout
        sweep_table.log(config, sweep_dir, sweep_table.summary(ended, told(declared), picture))
    except Exception as error:  # a tracker's, whatever it is: the runs are finished
        print(f"nst: no table of the sweep: {reason(error)}", file=sys.stderr)
    for folder in folders:
        print(os.path.relpath(folder))


def _tell(ended: list[Ended], jobs: list[list[str]]) -> None:
    """The table at the end, on stderr: a row per job, and how many ended which way."""
    what = told(jobs)
    last = Column("run folder, and why", overflow="fold")  # its end is the signature
    table = Table("job", "what", "ended", last, box=None, pad_edge=False)
    for number, outcome, folder, why in ended:
        job = what[number] if number < len(what) else ""
        shown = ": ".join(filter(None, [folder.name if folder else "", why]))
        table.add_row(str(number), Text(job), outcome, Text(shown))
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(table)
    counts = Counter(each.outcome for each in ended)
    missing = len(jobs) - len(ended)
    parts = [f"{number} {outcome}" for outcome, number in counts.items()]
    console.print("sweep: " + ", ".join([*parts, *([f"{missing} not run"] if missing > 0 else [])]))
