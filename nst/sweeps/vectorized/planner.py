"""Computes the jobs of a sweep as batches."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from nst.images.picture import Picture
from nst.runs.execute import compute
from nst.runs.identify import folder_of, is_finished, is_skipped
from nst.runs.outcome import Outcome
from nst.runs.plan import Plan
from nst.sweeps.vectorized import batches, memory
from nst.sweeps.vectorized.batches import Group, split
from nst.transfer.run import Run
from nst.utils.errors import out_of_memory
from nst.utils.text import ranges

log = logging.getLogger(__name__)


class Batches:
    """The runs of a sweep's jobs. A batch is computed when the outcome of its first job is needed.

    Args:
        most: images in a batch; None: no limit but memory and speed.
        progress: of the sweep.
    """

    def __init__(self, most: int | None, progress: Plan) -> None:
        self._most = most
        self._progress = progress
        self._runs: dict[int, Run] = {}  # by the job
        self._pictures: dict[tuple[str, ...], Picture] = {}
        self._first: dict[tuple[Path, str | None, bool], int] = {}  # the first job of each run
        self._jobs: dict[int, list[int]] = {}  # all of the same run, by the first
        self._batch_of: dict[int, list[int]] = {}
        self._outcomes: dict[int, Outcome] = {}

    def add(self, number: int, run: Run) -> Run:
        """Adds the identified run of a job; several jobs may have the same run.

        Returns:
            The run, sharing pictures with earlier ones.
        """
        run = self._runs[number] = replace(
            run,
            content=run.content and self._held_once(run.content),
            styles=tuple(
                replace(style, picture=self._held_once(style.picture)) for style in run.styles
            ),
            init=run.init and self._held_once(run.init),
            grey=run.grey and self._held_once(run.grey),
        )
        # not by folder: before one is made, a picture with two names gives two
        same = (folder_of(run).parent, run.config.run.signature, run.config.force)
        first = self._first.setdefault(same, number)
        self._jobs.setdefault(first, []).append(number)
        return run

    def _held_once(self, picture: Picture) -> Picture:
        # equal blends may have different parts
        parts = [Picture(name, image).sha256 for name, image in picture.parts.items()]
        return self._pictures.setdefault((picture.name, picture.sha256, *parts), picture)

    def outcome(self, number: int) -> Outcome:
        """The outcome of a job; computes its batch if need be.

        Raises:
            Interrupted: if a signal came.
        """
        if not self._batch_of:
            self._plan()
        if number not in self._outcomes:
            # a plan may count from an earlier sweep
            self._compute(self._batch_of[number], self._progress.done - number)
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
            text = f"{_count(len(numbers), 'run')} (jobs {ranges(jobs)}) in "
            text += _count(len(parts), "batch", "batches")
            if len(parts) > 1:
                text += f" of {'+'.join(str(len(part)) for part in parts)}: at most {most}, {why}"
            log.info("%s%s", text, f"; separate because of {apart}" if apart else "")
        self._batch_of = {
            job: batch for batch in planned for number in batch for job in self._jobs[number]
        }

    def _largest(self, runs: Sequence[Run], group: Group) -> tuple[int, str]:
        room = memory.available(runs[0].resolved.device) * memory.SHARE
        height, width = runs[0].shape(runs[0].scales[-1])
        each = memory.image_bytes(runs)
        return batches.largest(each, int(room), height * width, self._most)

    def _compute(self, batch: Sequence[int], offset: int) -> None:
        """Computes a batch, or its halves if it does not fit in memory.

        Args:
            batch: the first job of each run.
            offset: of job numbers in the plan.
        """
        jobs = [job for number in batch for job in self._jobs[number]]
        self._progress.current_batch = [job + offset for job in jobs]
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
                self._compute(half, offset)


def _did_not_fit(outcome: Outcome) -> bool:
    return outcome.error is not None and out_of_memory(outcome.error)


def _count(number: int, one: str, more: str | None = None) -> str:
    return f"{number} {one if number == 1 else more or f'{one}s'}"
