"""Processes of this machine that run jobs, each on a GPU or on cores of its own.

A process begins without torch: what it may use is set before torch is imported.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from nst.runner.signals import terminate
from nst.utils import own_process
from nst.utils.errors import ConfigError, Interrupted, NstError

GPUS = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Place:
    """What a process may use.

    Attributes:
        gpu: as ``CUDA_VISIBLE_DEVICES`` names it; None: none.
        cores: numbers of its cores; empty: all.
    """

    gpu: str | None = None
    cores: tuple[int, ...] = ()


@dataclass(frozen=True)
class Request:
    """What all jobs have in common.

    Attributes:
        context: of Hydra's.
        config: of the sweep, ``hydra`` included.
        task: the task function.
    """

    context: HydraContext
    config: DictConfig
    task: TaskFunction


def places(processes: int | None, cores: int | None) -> list[Place]:
    """One for each process.

    Raises:
        ConfigError: if a number is not a whole one from 1.
    """
    for name, value in (("processes", processes), ("cores", cores)):
        if value is not None and not (type(value) is int and value >= 1):
            problem = "must be a whole number from 1, or null"
            raise ConfigError(f"hydra.launcher.{name}", value, problem)
    gpus = _gpus()
    if gpus:
        return [Place(gpus[number % len(gpus)]) for number in range(processes or len(gpus))]
    available = sorted(_available())
    each = cores or max(1, len(available) // (processes or len(available)))
    count = processes or max(1, len(available) // each)
    found = []
    for number in range(count):
        first = number * each
        own = [available[core % len(available)] for core in range(first, first + each)]
        found.append(Place(None, tuple(dict.fromkeys(own))))
    return found


def _gpus() -> list[str]:
    """The visible GPUs, without starting CUDA in this process."""
    chosen = os.environ.get(GPUS)
    if chosen is not None:
        return [each for each in chosen.split(",") if each.strip() not in ("", "-1")]
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--list-gpus"], capture_output=True, encoding="utf-8", check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(number) for number, _ in enumerate(listed.stdout.splitlines())]


def _available() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


class _Process:
    """A process with the end of a pipe to it, and the job that it runs."""

    def __init__(self, place: Place, request: bytes) -> None:
        self.place = place
        self.job: int | None = None
        self.pipe, theirs = get_context("spawn").Pipe()
        self.process = get_context("spawn").Process(target=_serve, args=(theirs, place))
        self.process.start()
        theirs.close()
        self.pipe.send_bytes(request)

    def send(self, job: int, overrides: list[str]) -> None:
        self.job = job
        self.pipe.send((job, overrides))

    def received(self) -> JobReturn:
        """The return of the job; of a process that ended, its failure."""
        try:
            found: JobReturn = pickle.loads(self.pipe.recv_bytes())
            return found
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode or 0
            how = signal.Signals(-code).name if code < 0 else f"status {code}"
            error = NstError(f"its process ended by {how}")
            return JobReturn(_return_value=error, status=JobStatus.FAILED)

    def end(self) -> None:
        """Ends an idle process."""
        self.pipe.close()
        self.process.join()


def run(
    found: Sequence[Place], request: Request, jobs: Mapping[int, Sequence[str]]
) -> list[JobReturn]:
    """Runs jobs, as many at a time as there are places.

    Returns:
        Of each job, in order.

    Raises:
        KeyboardInterrupt: after a signal, when all processes have ended.
    """
    sent = cloudpickle.dumps((Singleton.get_state(), request))
    waiting = list(jobs)
    returns: dict[int, JobReturn] = {}
    processes: list[_Process] = []
    with _ending(processes):
        for place in found[: len(waiting)]:
            processes.append(_Process(place, sent))
        for each in processes:
            job = waiting.pop(0)
            each.send(job, [*jobs[job]])
        while busy := {each.pipe: each for each in processes if each.job is not None}:
            for pipe in connection.wait(list(busy)):
                own = busy[pipe]  # type: ignore[index]
                assert own.job is not None
                returns[own.job] = own.received()
                own.job = None
                if not waiting:
                    continue
                if not own.process.is_alive():
                    processes[processes.index(own)] = own = _Process(own.place, sent)
                job = waiting.pop(0)
                own.send(job, [*jobs[job]])
    return [returns[job] for job in jobs]


@contextmanager
def _ending(processes: list[_Process]) -> Iterator[None]:
    """Ends the processes; after a signal they first write checkpoints of their runs."""
    try:
        yield
    except BaseException as error:
        for each in processes:
            # Ctrl-C in a terminal reaches them too; a second signal would end them at once
            if not (isinstance(error, KeyboardInterrupt) and not isinstance(error, Interrupted)):
                each.process.terminate()
        with suppress(KeyboardInterrupt):
            for each in processes:
                each.pipe.close()
                each.process.join()
        for each in processes:
            each.process.kill()
        raise
    for each in processes:
        each.end()


def _serve(pipe: Connection, place: Place) -> None:
    """Runs jobs until the pipe is closed: the main function of a process."""
    if place.gpu is not None:
        os.environ[GPUS] = place.gpu
    if place.cores:
        os.environ["OMP_NUM_THREADS"] = str(len(place.cores))
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, place.cores)
    signal.signal(signal.SIGTERM, terminate)  # at any moment
    _end_with_parent()
    state, request = pickle.loads(pipe.recv_bytes())
    setup_globals()
    Singleton.set_state(state)
    try:
        while True:
            number, overrides = pipe.recv()
            pipe.send_bytes(cloudpickle.dumps(_run(request, number, overrides)))
    except (EOFError, OSError):  # there are no further jobs
        return
    except Interrupted as error:
        sys.exit(error.exit_status)


def _run(request: Request, number: int, overrides: list[str]) -> JobReturn:
    config = request.context.config_loader.load_sweep_config(request.config, overrides)
    with open_dict(config):
        config.hydra.job.id = config.hydra.job.num = number
    HydraConfig.instance().set_config(config)
    found = run_job(
        hydra_context=request.context,
        task_function=request.task,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
    found.cfg = found.hydra_cfg = None
    return found


def _end_with_parent() -> None:
    """Interrupts this process when its parent ends, so that its runs have checkpoints."""
    parent: Any = parent_process()

    def wait() -> None:
        parent.join()
        own_process.terminate()

    threading.Thread(target=wait, daemon=True).start()
