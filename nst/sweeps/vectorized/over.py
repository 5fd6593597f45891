"""Has another launcher compute the parts of a sweep, each as one job of its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import chdir
from functools import partial
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig

from nst.runner.plan import Plan
from nst.sweeps import part_progress, sweep_folder
from nst.sweeps.jobs import Jobs, signals_handed_on
from nst.sweeps.sweep_folder import Part
from nst.sweeps.vectorized.batches import USEFUL_PIXELS
from nst.sweeps.vectorized.parts import parts
from nst.sweeps.vectorized.worker import Worker
from nst.sweeps.workers import workers_of
from nst.transfer.run import Run
from nst.utils.errors import ConfigError, NstError, reason
from nst.utils.text import counted

log = logging.getLogger("hydra_plugins.nst_vectorized")

HERE = "trainer.accelerator=cpu"
"""Parts are planned where there may be none of the devices that compute them."""


class PartTask:
    """The task function of the other launcher: computes a part, whose jobs it reads from a file.

    Args:
        context: of Hydra's.
        config: of the sweep, ``hydra`` included.
        most: images in a batch; None: no limit but memory and speed, of the worker.
    """

    def __init__(self, context: HydraContext, config: DictConfig, most: int | None) -> None:
        self._context, self._config, self._most = context, config, most

    def __call__(self, cfg: DictConfig) -> dict[int, JobReturn]:
        """The returns of the jobs of Hydra's current job, by their number in the sweep."""
        own = HydraConfig.get()
        folder = Path(own.sweep.dir)
        # names of files are relative to the folder of the command; Ray's workers are elsewhere
        with chdir(self._config.hydra.runtime.cwd):
            return self._compute(folder, own.job.num)

    def _compute(self, folder: Path, number: int) -> dict[int, JobReturn]:
        part = sweep_folder.part(folder, number)
        overrides = dict(enumerate(sweep_folder.jobs(folder)))
        costs = [float(job in part.jobs) for job in overrides]
        with signals_handed_on(), part_progress.working(folder, number):
            worker = Worker(self._context, self._config, Jobs(Plan(costs)), overrides, self._most)
            return worker.compute(part)


def launch(
    over: Launcher,
    context: HydraContext,
    config: DictConfig,
    jobs: Mapping[int, Sequence[str]],
    most: int | None,
    workers: int | None,
) -> dict[int, JobReturn]:
    """Divides a sweep into parts, which the other launcher computes.

    Args:
        over: the other launcher.
        context: of Hydra's.
        config: of the sweep, ``hydra`` included.
        jobs: overrides of each job, by its number.
        most: images in a batch.
        workers: parts that are computed at the same time; None: as the settings of ``over`` say.

    Returns:
        Of each job, by its number. A job whose part was lost has failed.

    Raises:
        Exception: of the launcher, if it fails before a part has begun.
    """
    folder = Path(str(config.hydra.sweep.dir))
    places = workers or workers_of(config.hydra.launcher.over)
    planner = Worker(
        context, config, Jobs(), {number: [*own, HERE] for number, own in jobs.items()}, most
    )
    # callbacks are of jobs, not of parts
    over.setup(
        hydra_context=HydraContext(context.config_loader, Callbacks()),
        task_function=PartTask(context, config, most),
        config=config,
    )
    returns: dict[int, JobReturn] = {}
    for some in parts(jobs, planner.prepare, partial(_largest, most), places):
        planner.forget()
        numbers = [sweep_folder.add_part(folder, part) for part in some]
        _log(over, some)
        own = [
            [*jobs[part.jobs[0]], f"hydra.sweep.subdir={sweep_folder.PARTS}/{number}"]
            for part, number in zip(some, numbers, strict=True)
        ]
        returns |= _launched(over, own, some, numbers[0], folder)
    return returns


def _largest(most: int | None, run: Run) -> int:
    height, width = run.shape(run.scales[-1])
    useful = max(1, USEFUL_PIXELS // (height * width))
    return useful if most is None else min(most, useful)


def _log(over: Launcher, some: Sequence[Part]) -> None:
    jobs = sum(len(part.jobs) for part in some)
    text = f"Launching {counted(jobs, 'job')} as {counted(len(some), 'part')}"
    log.info("%s by %s", text, type(over).__name__)


def _launched(
    over: Launcher, own: list[list[str]], some: Sequence[Part], first: int, folder: Path
) -> dict[int, JobReturn]:
    """Returns of the jobs of some parts; those of a part that was lost have failed."""
    try:
        with part_progress.displayed(folder):
            ended = list(over.launch(own, first))
    except ConfigError:
        raise
    except Exception as error:
        numbers = range(first, first + len(some))
        if not part_progress.any_began(folder, numbers):
            raise  # nothing works
        # some engines report the first task that fails, while others still run
        log.error("the launcher failed: %s; waiting for the parts that run", reason(error))
        with part_progress.displayed(folder):
            part_progress.wait(folder, numbers)
        ended = [_failed(error)] * len(some)
    returns: dict[int, JobReturn] = {}
    for part, found in zip(some, ended, strict=True):
        if found.status == JobStatus.COMPLETED:
            returns |= found.return_value
        else:
            returns |= {number: _failed(found._return_value) for number in part.jobs}
    return returns


def _failed(error: Any) -> JobReturn:
    found = error if isinstance(error, Exception) else NstError(f"its worker was lost: {error}")
    return JobReturn(_return_value=found, status=JobStatus.FAILED)
