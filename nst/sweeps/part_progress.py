"""How far the parts of a sweep are, from files: the same on every machine that sees the folder."""

from __future__ import annotations

import json
import os
import socket
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from nst.sweeps import sweep_folder
from nst.sweeps.sweep_folder import PARTS, UNSUCCESSFUL, JobOutcome
from nst.utils.files import read_json, write_whole
from nst.utils.lock import LEASE, lock
from nst.utils.output import output_to
from nst.utils.text import counted, ranges

WAITING, RUNNING, DONE, LOST = "waiting", "running", "done", "lost"

REFRESH = 1.0
"""Seconds between looks at the files."""

SHOWN = 20
"""Rows of the table, at most: of parts that run, then of those that were lost, then of others."""


@dataclass(frozen=True)
class PartProgress:
    """How far a part is.

    Attributes:
        number: of the part.
        jobs: their numbers.
        state: ``waiting``, ``running``, ``done``, or ``lost`` if its worker ended early.
        worker: host and process; empty while it waits.
        seconds: since it began; None while it waits.
        ended: outcomes of its jobs, so far.
    """

    number: int
    jobs: list[int]
    state: str
    worker: str
    seconds: float | None
    ended: list[JobOutcome]


@contextmanager
def working(sweep_dir: Path, number: int) -> Iterator[None]:
    """Records that this process computes a part, whose file gets its output."""
    place = sweep_dir / PARTS
    found = {"host": socket.gethostname(), "process": os.getpid(), "began": time.time()}
    with lock(place / f"{number}.lease"), output_to(place / f"{number}.log"):
        worker = place / f"{number}.worker"
        write_whole(worker, f"{json.dumps(found)}\n".encode())
        try:
            yield
        except Exception:
            raise
        except BaseException:  # a signal: the part waits until an engine such as Slurm requeues it
            worker.unlink(missing_ok=True)
            raise


def progress(sweep_dir: Path) -> list[PartProgress]:
    """The parts of a sweep, in order; empty if no other launcher computes its batches."""
    ended = {each.number: each for each in sweep_folder.outcomes(sweep_dir)}
    return [_progress(sweep_dir, number, ended) for number in sweep_folder.part_numbers(sweep_dir)]


def _progress(sweep_dir: Path, number: int, ended: dict[int, JobOutcome]) -> PartProgress:
    jobs = sweep_folder.part(sweep_dir, number).jobs
    own = [ended[job] for job in jobs if job in ended]
    found: dict[str, Any] = read_json(sweep_dir / PARTS / f"{number}.worker")
    worker = f"{found['host']}:{found['process']}" if found else ""
    seconds = time.time() - found["began"] if found else None
    if len(own) == len(jobs):
        state = DONE
    elif not found:
        state = WAITING
    else:
        state = RUNNING if _is_held(sweep_dir / PARTS / f"{number}.lease", found) else LOST
    return PartProgress(number, jobs, state, worker, seconds, own)


def _is_held(lease: Path, worker: dict[str, Any]) -> bool:
    """Whether a lock was renewed lately, and its process exists, if it is one of this machine."""
    try:
        if worker["host"] == socket.gethostname() and not psutil.pid_exists(worker["process"]):
            return False
        return time.time() - lease.stat().st_mtime < 2 * LEASE
    except OSError:
        return False


def any_began(sweep_dir: Path, numbers: Collection[int]) -> bool:
    """Whether a worker has begun any of these parts."""
    found = progress(sweep_dir)
    return any(each.state != WAITING for each in found if each.number in numbers)


def wait(sweep_dir: Path, numbers: Collection[int], idle: float = LEASE) -> None:
    """Waits until these parts are done or lost, or none of them has run for ``idle`` seconds."""
    last = time.monotonic()
    while time.monotonic() - last < idle:
        states = {each.state for each in progress(sweep_dir) if each.number in numbers}
        if states <= {DONE, LOST}:
            return
        if RUNNING in states:
            last = time.monotonic()
        time.sleep(REFRESH)


def table(parts: list[PartProgress]) -> RenderableType:
    """A table of the parts, with the reasons of jobs that failed."""
    found = Table("part", "jobs", "state", "worker", "time", "ended", "failed", box=None)
    order = [RUNNING, LOST, WAITING, DONE]
    shown = sorted(parts, key=lambda each: (order.index(each.state), each.number))[:SHOWN]
    for each in sorted(shown, key=lambda each: each.number):
        failed = [job for job in each.ended if job.outcome in UNSUCCESSFUL]
        seconds = "" if each.seconds is None or each.state == DONE else _time(each.seconds)
        ended = f"{len(each.ended)}/{len(each.jobs)}"
        cells = [f"{each.number}", ranges(each.jobs), each.state, each.worker, seconds, ended]
        found.add_row(*map(Text, cells), str(len(failed) or ""))
    lines: list[RenderableType] = [found] if shown else []
    if len(parts) > len(shown):
        lines.append(Text(f"and {counted(len(parts) - len(shown), 'part')} more"))
    failures = [job for each in parts for job in each.ended if job.outcome in UNSUCCESSFUL]
    lines += [Text(f"job {job.number} {job.outcome}: {job.why}") for job in failures[-SHOWN:]]
    lines.append(Text(summary(parts)))
    return Group(*lines)


def summary(parts: list[PartProgress]) -> str:
    """The counts in a line."""
    states = Counter(each.state for each in parts)
    jobs = Counter(job.outcome for each in parts for job in each.ended)
    total = sum(len(each.jobs) for each in parts)
    found = [f"{number} {state}" for state, number in states.items()]
    outcomes = [f"{number} {outcome}" for outcome, number in jobs.items()]
    of_jobs = ", ".join([*outcomes, f"{total - sum(jobs.values())} to come"])
    return f"{counted(len(parts), 'part')}: {', '.join(found)}; jobs: {of_jobs}"


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


class Display:
    """Shows the parts on stderr: a live table in a terminal, else a line whenever it changes."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        terminal = self._console.is_terminal and not os.environ.get("CI")
        self._live = Live(console=self._console, auto_refresh=False) if terminal else None
        self._last = ""

    def update(self, sweep_dir: Path) -> None:
        """Looks at the files of a sweep."""
        parts = progress(sweep_dir)
        if not parts:
            return
        if self._live is not None:
            self._live.start()  # does nothing once it has begun
            self._live.update(table(parts), refresh=True)
        elif (line := summary(parts)) != self._last:
            self._console.print(line, markup=False)
            self._last = line

    def close(self) -> None:
        """Leaves the last table."""
        if self._live is not None:
            self._live.stop()


@contextmanager
def displayed(sweep_dir: Path) -> Iterator[None]:
    """Shows the parts of a sweep until the end of the block."""
    display, ended = Display(), Event()

    def look() -> None:
        while not ended.wait(REFRESH):
            display.update(sweep_dir)

    thread = Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        display.update(sweep_dir)
        display.close()
