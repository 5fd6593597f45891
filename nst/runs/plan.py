"""Progress of a sweep, and an estimate of the time left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class Plan:
    """Progress of one or more sweeps of this process, and an estimate of the time left.

    Args:
        costs: work of each job, in any unit.

    Attributes:
        done: jobs that have ended, in their order.
        current_batch: numbers, from 0, of its jobs; empty: the next job is computed
            alone.
    """

    def __init__(self, costs: Sequence[float] = ()) -> None:
        self.costs = list(costs)
        self.done = 0
        self.current_batch: list[int] = []
        self._ahead: set[int] = set()  # jobs computed in a batch before their turn
        self._work = self._seconds = 0.0

    @property
    def now(self) -> list[int]:
        """Numbers of the current jobs."""
        return self.current_batch or [self.done]

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
        later = set(range(self.done + 1, len(self.costs))) - self._ahead - set(self.now)
        return pace * ((1 - share) * current + self._cost(later))

    def _cost(self, numbers: Iterable[int]) -> float:
        return sum(self.costs[number] for number in numbers if number < len(self.costs))
