"""The jobs of a sweep computed as batches: planned together, each told how its own run ended."""

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
    """What the jobs of a sweep ask for, computed once the first job of a batch wants to know.

    Args:
        most: images in a pass; None: as many as fit in memory and are of use.
        progress: how far the sweep has come.
    """

    def __init__(self, most: int | None, progress: Plan) -> None:
        self._most = most
        self._progress = progress
        self._runs: dict[int, Run] = {}  # by the job
        self._pictures: dict[tuple[str, str], Picture] = {}
        self._first: dict[tuple[Path, str | None, bool], int] = {}  # the first job of each run
        self._jobs: dict[int, list[int]] = {}  # all that ask for the same run, by the first of them
        self._batch_of: dict[int, list[int]] = {}
        self._outcomes: dict[int, Outcome] = {}

    def add(self, number: int, run: Run) -> Run:
        """Takes the identified run that a job asks for; several may ask for the same.

        Returns:
            It, with the pictures that it has in common with earlier ones.
        """
        run = self._runs[number] = replace(
            run,
            content=self._held_once(run.content),
            style=self._held_once(run.style),
            init=self._held_once(run.init),
        )
        # not by its folder: where a picture has two names, neither may have a folder yet
        same = (folder_of(run).parent, run.config.run.signature, run.config.force)
        first = self._first.setdefault(same, number)
        self._jobs.setdefault(first, []).append(number)
        return run

    def _held_once(self, picture: Picture | None) -> Picture | None:
        # what a blend was made of may differ although the result does not
        if picture is None or picture.parts:
            return picture
        return self._pictures.setdefault((picture.name, picture.sha256), picture)

    def outcome(self, number: int) -> Outcome:
        """How the run of a job ended; computes its batch if it has not been.

        Raises:
            Interrupted: if a signal came.
        """
        if not self._batch_of:
            self._plan()
        if number not in self._outcomes:
            # plans count from the first sweep of a report
            self._compute(self._batch_of[number], self._progress.done - number)
        return self._outcomes.pop(number)

    def _plan(self) -> None:
        """Finds the batches, and says why they are what they are."""
        waiting = [
            number
            for number in self._jobs
            if not (is_skipped(self._runs[number]) or is_finished(self._runs[number]))
        ]
        runs = [self._runs[number] for number in waiting]
        found = batches.groups(runs)
        planned = [[number] for number in self._jobs if number not in waiting]
        for group, apart in zip(found, batches.differences(found), strict=True):
            numbers = [waiting[member] for member in group.members]
            most, why = self._largest([self._runs[number] for number in numbers], group)
            parts = split(numbers, most)
            planned += parts
            jobs = [job for number in numbers for job in self._jobs[number]]
            told = f"{_count(len(numbers), 'run')} (jobs {ranges(jobs)}) in "
            told += _count(len(parts), "batch", "batches")
            if len(parts) > 1:
                told += f" of {'+'.join(str(len(part)) for part in parts)}: at most {most}, {why}"
            log.info("%s%s", told, f"; apart by {apart}" if apart else "")
        self._batch_of = {
            job: batch for batch in planned for number in batch for job in self._jobs[number]
        }

    def _largest(self, runs: Sequence[Run], group: Group) -> tuple[int, str]:
        room = memory.available(runs[0].resolved.device) * memory.SHARE
        height, width = runs[0].shape(runs[0].scales[-1])
        each = memory.image_bytes(runs)
        return batches.largest(each, int(room), height * width, self._most)

    def _compute(self, batch: Sequence[int], offset: int) -> None:
        """Has a batch computed, by halves if it does not fit in memory after all.

        Args:
            batch: the first jobs that ask for its runs.
            offset: of job numbers in the plan.
        """
        jobs = [job for number in batch for job in self._jobs[number]]
        self._progress.together = [job + offset for job in jobs]
        try:
            outcomes = compute([self._runs[job] for job in jobs], self._progress)
        finally:
            self._progress.together = []
        self._outcomes.update(zip(jobs, outcomes, strict=True))
        again = [number for number in batch if _did_not_fit(self._outcomes[number])]
        if again and len(batch) > 1:
            halves = split(again, -(-len(batch) // 2))
            sizes = "+".join(str(len(half)) for half in halves)
            log.warning(
                "out of memory with %d runs in a batch; once more with %s", len(batch), sizes
            )
            if torch.cuda.is_available():
                torch.cuda.empty_cache()  # pieces of the old sizes
            for half in halves:
                self._compute(half, offset)


def _did_not_fit(outcome: Outcome) -> bool:
    return outcome.error is not None and out_of_memory(outcome.error)


def _count(number: int, one: str, more: str | None = None) -> str:
    return f"{number} {one if number == 1 else more or f'{one}s'}"
