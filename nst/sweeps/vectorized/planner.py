"""Computes the jobs of a part of a sweep as batches."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from nst.runner.execute import compute
from nst.runner.identify import folder_of, is_finished, is_skipped
from nst.runner.outcome import Outcome
from nst.runner.plan import Plan
from nst.sweeps.vectorized import batches, memory
from nst.sweeps.vectorized.batches import Group, split
from nst.transfer.run import Run
from nst.utils.errors import out_of_memory
from nst.utils.text import counted, ranges

log = logging.getLogger(__name__)


class Batches:
    """The runs of a part's jobs. A batch is computed when the outcome of its first job is needed.

    Args:
        most: images in a batch; None: no limit but memory and speed.
        progress: of the sweep.
        apart: what separates the part from others, for the log.
    """

    def __init__(self, most: int | None, progress: Plan, apart: str = "") -> None:
        self._most = most
        self._progress = progress
        self._apart = apart
        self._runs: dict[int, Run] = {}  # by the job
        self._first: dict[tuple[Path, str | None, bool], int] = {}  # the first job of each run
        self._jobs: dict[int, list[int]] = {}  # all of the same run, by the first
        self._batch_of: dict[int, list[int]] = {}
        self._outcomes: dict[int, Outcome] = {}

    def add(self, number: int, run: Run) -> None:
        """Adds the identified run of a job; several jobs may have the same run."""
        self._runs[number] = run
        # not by folder: before one is made, a picture with two names gives two
        same = (folder_of(run).parent, run.config.run.signature, run.config.force)
        first = self._first.setdefault(same, number)
        self._jobs.setdefault(first, []).append(number)

    def outcome(self, number: int) -> Outcome:
        """The outcome of a job; computes its batch if need be.

        Raises:
            Interrupted: if a signal came.
        """
        if not self._batch_of:
            self._plan()
        if number not in self._outcomes:
            self._compute(self._batch_of[number])
        return self._outcomes.pop(number)

    def _plan(self) -> None:
        """Plans the batches, and logs them with the reason for their sizes."""
        waiting = [
            number
            for number in self._jobs
            if not (is_skipped(self._runs[number]) or is_finished(self._runs[number]))
        ]
        runs = [self._runs[number] for number in waiting]
        found = batches.groups(runs)
        planned = [[number] for number in self._jobs if number not in waiting]
        for group, apart in zip(found, batches.separating(found), strict=True):
            numbers = [waiting[member] for member in group.members]
            most, why = self._largest([self._runs[number] for number in numbers], group)
            parts = split(numbers, most)
            planned += parts
            jobs = [job for number in numbers for job in self._jobs[number]]
            text = f"{counted(len(numbers), 'run')} (jobs {ranges(jobs)}) in "
            text += counted(len(parts), "batch", "batches")
            if len(parts) > 1:
                text += f" of {'+'.join(str(len(part)) for part in parts)}: at most {most}, {why}"
            why_apart = apart or self._apart
            log.info("%s%s", text, f"; separate because of {why_apart}" if why_apart else "")
        self._batch_of = {
            job: batch for batch in planned for number in batch for job in self._jobs[number]
        }

    def _largest(self, runs: Sequence[Run], group: Group) -> tuple[int, str]:
        device = runs[0].resolved.device
        room = memory.available(device) * memory.SHARE
        height, width = runs[0].shape(runs[0].scales[-1])
        each = memory.image_bytes(runs)
        return batches.largest(each, int(room), height * width, device.type != "cpu", self._most)

    def _compute(self, batch: Sequence[int]) -> None:
        """Computes a batch, or its halves if it does not fit in memory.

        Args:
            batch: the first job of each run.
        """
        jobs = [job for number in batch for job in self._jobs[number]]
        self._progress.current_batch = self._progress.numbers(jobs)
        try:
            outcomes = compute([self._runs[job] for job in jobs], self._progress)
        finally:
            self._progress.current_batch = []
        self._outcomes.update(zip(jobs, outcomes, strict=True))
        again = [number for number in batch if _did_not_fit(self._outcomes[number])]
        if again and len(batch) > 1:
            halves = split(again, -(-len(batch) // 2))
            sizes = "+".join(str(len(half)) for half in halves)
            log.warning(
                "out of memory with a batch of %d runs; retrying with %s", len(batch), sizes
            )
            if torch.cuda.is_available():
                torch.cuda.empty_cache()  # pieces of the old sizes
            for half in halves:
                self._compute(half)


def _did_not_fit(outcome: Outcome) -> bool:
    return outcome.error is not None and out_of_memory(outcome.error)
