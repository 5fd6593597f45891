"""A sweep: its folder, its jobs, and the table and the picture at its end."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, configure_log
from hydra.experimental.callback import Callback
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from nst.config import checks
from nst.config.experiment import NO_EXPERIMENT, ExperimentJob, ExperimentSweep
from nst.config.job_overrides import labels, values
from nst.config.keys import affects_result
from nst.config.keys import values as key_values
from nst.config.overrides import literal, quoted
from nst.runner.plan import Plan
from nst.runner.record import FAILED, RunRecord
from nst.sweeps import sweep_folder
from nst.sweeps.job_list import overrides
from nst.sweeps.sweep_folder import JOBS, SUCCEEDED, UNSUCCESSFUL, JobOutcome, outcomes
from nst.utils.errors import ConfigError, NstError, reason
from nst.utils.files import absolute, save_png, shown, write_whole

PICTURE = "side_by_side.png"


class Sweep:
    """The sweep of one command: its folder, the jobs that Hydra launches, and how they ended.

    Not a Hydra callback: Hydra turns the errors of callbacks into warnings, and does not call
    ``on_multirun_end`` once a job fails.

    Args:
        plan: of several sweeps that this one belongs to; None: it has its own.

    Attributes:
        plan: of the sweep.
        folder: absolute; None before a sweep begins.
        jobs: overrides of every job launched so far, by its number.
    """

    def __init__(self, plan: Plan | None = None) -> None:
        self.plan = plan or Plan()
        self._own_plan = plan is None
        self.folder: Path | None = None
        self.jobs: list[list[str]] = []
        self._config: DictConfig | None = None
        self._record: dict[str, Any] = {}

    @contextmanager
    def tracking_launchers(self) -> Iterator[None]:
        """Wraps any launcher that Hydra creates inside."""
        make = Plugins.instantiate_launcher

        def instantiate_launcher(
            plugins: Plugins,
            hydra_context: HydraContext,
            task_function: TaskFunction,
            config: DictConfig,
        ) -> Launcher:
            self._begin(config)  # the launcher and its jobs get the folder from the config
            return _TrackedLauncher(make(plugins, hydra_context, task_function, config), self)

        # of the class: launchers send the instance to their workers
        Plugins.instantiate_launcher = instantiate_launcher  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            Plugins.instantiate_launcher = make  # type: ignore[method-assign]

    def _begin(self, config: DictConfig) -> None:
        """Makes the folder, and makes its path and ``outputs`` absolute for all jobs."""
        checks.check_outputs(str(config.outputs))
        chosen = str(config.hydra.sweep.dir)
        checks.check_outputs(chosen, "hydra.sweep.dir")
        declared = OmegaConf.to_container(config.hydra.sweep, resolve=False)
        folder = absolute(chosen, config.hydra.runtime.cwd)
        self.folder = _new_folder(folder) if "${now:" in str(declared) else folder
        self.folder.mkdir(parents=True, exist_ok=True)
        sweep_folder.clear(self.folder)
        self._record = {"asked": _now(), "base": _base(config), "jobs": self.jobs}
        with read_write(config), open_dict(config):
            outputs = absolute(str(config.outputs), config.hydra.runtime.cwd)
            config.outputs = literal(str(outputs))
            config.hydra.sweep.dir = literal(str(self.folder))
            config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(str(self.folder))}")
        self._config = config

    def launch(self, jobs: Sequence[Sequence[str]]) -> int:
        """Records jobs before they are launched.

        Returns:
            The number of the first one. Sweepers that launch several times may restart at 0.
        """
        assert self.folder is not None
        first = len(self.jobs)
        self.jobs += map(list, jobs)
        text = json.dumps(self._record, indent=1)
        write_whole(self.folder / JOBS, f"{text}\n".encode())
        if self._own_plan:
            self.plan.costs += [1.0] * len(jobs)
        self.plan.launching(first)
        return first

    def returned(self, first: int, returns: Sequence[JobReturn]) -> None:
        """Records the jobs that the launcher lost, so that they do not end the sweep.

        Args:
            first: number of the first job.
            returns: of the jobs, in order.
        """
        assert self.folder is not None
        known = {each.number for each in outcomes(self.folder)}
        for number, job in enumerate(returns, first):
            if job.status != JobStatus.FAILED or os.environ.get("NST_FULL_ERROR"):
                continue
            if number not in known:
                why = reason(job._return_value)
                sweep_folder.record(self.folder, JobOutcome(number, FAILED, None, why))
            job.status, job.return_value = JobStatus.COMPLETED, None

    def summarise(self) -> None:
        """Prints the table of jobs, draws the finished runs, and logs the table to trackers."""
        if self.folder is None or self._config is None or not self.jobs:
            return
        ended = outcomes(self.folder)
        _print_table(ended, self.jobs)
        if not all(each.refused for each in ended):  # else nothing to compare
            _show(self._config, self.folder, ended, self.jobs)

    @property
    def exit_status(self) -> int:
        """That of the first job that failed; 1 if a job has no outcome; else 0."""
        if self.folder is None or not self.jobs:
            return 0
        ended = outcomes(self.folder)
        bad = [each for each in ended if each.outcome in UNSUCCESSFUL]
        if bad:
            return ConfigError.exit_status if bad[0].refused else NstError.exit_status
        return NstError.exit_status if len(ended) < len(self.jobs) else 0


class _TrackedLauncher(Launcher):
    """A launcher that reports its jobs and their returns to the sweep."""

    def __init__(self, launcher: Launcher, sweep: Sweep) -> None:
        self._launcher, self._sweep = launcher, sweep

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Does nothing: the launcher is set up."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Launches the jobs."""
        first = self._sweep.launch(job_overrides)
        try:
            returns = self._launcher.launch(job_overrides, first)
        except ConfigError:  # it refused its own settings: no job began
            del self._sweep.jobs[first:]
            raise
        self._sweep.returned(first, returns)
        return returns


class DropConfigs(Callback):
    """Drops the configs of finished jobs: Hydra keeps two of 0.4 MB each until the sweep ends."""

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Called after every job, also in workers. Sweepers use only the returned value."""
        if config.hydra.mode == RunMode.MULTIRUN:
            job_return.cfg = job_return.hydra_cfg = None


def _new_folder(folder: Path) -> Path:
    """Makes a folder, with a number if another sweep of the same second has the name."""
    own, number = folder, 1
    while True:
        try:
            own.mkdir(parents=True)
            return own
        except FileExistsError:
            number += 1
            own = folder.with_name(f"{folder.name}-{number}")


def experiment_job(config: Any, experiment: dict[str, Any]) -> ExperimentJob | None:
    """The job of an experiment that a job is; None: it belongs to none.

    Args:
        config: the job's ``hydra`` config.
        experiment: the job's declared experiment.
    """
    if experiment["name"] == NO_EXPERIMENT:
        return None
    own = overrides(config)
    if config.mode != RunMode.MULTIRUN:
        return ExperimentJob(experiment, own, ExperimentSweep([], "", _now()))
    return ExperimentJob(experiment, own, recorded(Path(config.sweep.dir), own))


def recorded(sweep_dir: Path, job: Sequence[str]) -> ExperimentSweep:
    """The recorded sweep of a job's experiment: of several experiments, each has its own jobs."""
    path = sweep_dir / JOBS
    return _recorded(path, path.stat().st_mtime_ns, values(job).get("experiments"))


@lru_cache(maxsize=16)
def _recorded(path: Path, changed: int, named: str | None) -> ExperimentSweep:
    record = json.loads(path.read_text(encoding="utf-8"))
    jobs = [job for job in record["jobs"] if values(job).get("experiments") == named]
    return ExperimentSweep(jobs, record["base"], record["asked"])


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _base(config: DictConfig) -> str:
    """Hash of the config to which the jobs' overrides are applied."""
    plain: Any = OmegaConf.to_container(config, resolve=False)
    shared = {key: each for key, each in key_values(plain).items() if affects_result(key)}
    text = json.dumps(shared, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _show(
    config: DictConfig, sweep_dir: Path, ended: list[JobOutcome], declared: list[list[str]]
) -> None:
    """Draws the picture, logs the table, and prints the folders of finished runs."""
    from nst.sweeps import summary_table  # seconds to import: not before the sweep has begun
    from nst.sweeps.contact_sheet import COMPARE, side_by_side

    runs = {each.folder: RunRecord(each.folder) for each in ended if each.folder}
    done = (each.folder for each in ended if each.folder and each.outcome in SUCCEEDED)
    folders = list(dict.fromkeys(done))
    picture = sweep_dir / PICTURE
    outputs = Path(config.outputs)
    place = str(shown(outputs))
    command = COMPARE + ("" if place == "outputs" else f" --outputs {shlex.quote(place)}")
    try:
        if folders:
            sheet, note = side_by_side([runs[folder] for folder in folders], command)
            save_png(sheet, picture)
            print(f"side by side: {shown(picture)}")
            if note:
                print(f"nst: side by side: {note}", file=sys.stderr)
    except Exception as error:  # such as out of memory; the runs are finished
        print(f"nst: no side-by-side picture: {reason(error)}", file=sys.stderr)
    # Hydra has a sweeper of that name too, whose studies are elsewhere
    searched = config.hydra.sweeper._target_ == "hydra_plugins.nst_optuna.OptunaSweeper"
    try:
        if searched:
            from nst.sweeps.search import trials

            trials.show(outputs, config.study)
    except Exception as error:  # such as out of memory; the runs are finished
        print(f"nst: no picture of the study: {reason(error)}", file=sys.stderr)
    try:
        configure_log(config.hydra.job_logging)  # Hydra's logging now writes to stdout
        summary = summary_table.summary(ended, runs, labels(declared), picture, command)
        if searched:
            from nst.sweeps.search.table import with_study

            summary = with_study(summary, outputs, config.study)
        summary_table.log(config, sweep_dir, summary)
    except Exception as error:  # of a tracker; the runs are finished
        print(f"nst: no table of the sweep: {reason(error)}", file=sys.stderr)
    for folder in folders:
        print(shown(folder))


def _print_table(ended: list[JobOutcome], jobs: list[list[str]]) -> None:
    """Prints the table at the end on stderr: a row per job, and counts of the outcomes."""
    what = labels(jobs)
    last = Column("run folder, or reason", overflow="fold")  # it ends with the signature
    table = Table("job", "overrides", "status", last, box=None, pad_edge=False)
    for each in ended:
        job = what[each.number] if each.number < len(what) else ""
        name = each.folder.name if each.folder else ""
        text = ": ".join(filter(None, [name, each.why]))
        table.add_row(str(each.number), Text(job), each.outcome, Text(text))
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if ended:
        console.print(table)
    counts = Counter(each.outcome for each in ended)
    parts = [f"{number} {outcome}" for outcome, number in counts.items()]
    missing = len(jobs) - len(ended)
    console.print(
        "sweep: " + ", ".join([*parts, *([f"{missing} not finished"] if missing else [])])
    )
