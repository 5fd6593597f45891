"""Progress of a sweep, and an estimate of the time left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class Plan:
    """Progress of one or more sweeps of this process, and an estimate of the time left.

    Args:
        costs: work of each job, in any unit.

    Attributes:
        ended: numbers, from 0, of the jobs that have ended.
        current_batch: numbers of its jobs; empty: the next job is computed alone.
    """

    def __init__(self, costs: Sequence[float] = ()) -> None:
        self.costs = list(costs)
        self.ended: set[int] = set()
        self.current_batch: list[int] = []
        self._offset = 0
        self._ahead: set[int] = set()  # jobs computed in a batch before their turn
        self._work = self._seconds = 0.0

    def launching(self, first: int) -> None:
        """Jobs of a sweep are launched; a plan may count from an earlier sweep.

        Args:
            first: number of the first one in its sweep.
        """
        self._offset = len(self.ended) - first

    def numbers(self, jobs: Iterable[int]) -> list[int]:
        """Numbers, in the plan, of jobs of the current sweep."""
        return [job + self._offset for job in jobs]

    def end(self, job: int) -> None:
        """A job of the current sweep has ended."""
        self.ended.update(self.numbers([job]))

    @property
    def now(self) -> list[int]:
        """Numbers of the current jobs."""
        return self.current_batch or [self._next()]

    def _next(self) -> int:
        return next(number for number in range(len(self.ended) + 1) if number not in self.ended)

    def computed(self, seconds: float) -> None:
        """Records the time that the current jobs took; finished runs are not counted."""
        self._work += self._cost(self.now)
        self._seconds += seconds
        self._ahead.update(self.now)

    def left(self, share: float, seconds: float) -> float:
        """Seconds until the last job is done, if none of the runs is finished already.

        Args:
            share: of the current jobs that is done, above 0.
            seconds: spent on it.
        """
        current = self._cost(self.now)
        pace = (self._seconds + seconds) / max(self._work + share * current, 1e-9)
        later = set(range(len(self.costs))) - self.ended - self._ahead - set(self.now)
        return pace * ((1 - share) * current + self._cost(later))

    def _cost(self, numbers: Iterable[int]) -> float:
        return sum(self.costs[number] for number in numbers if number < len(self.costs))
