"""How far a sweep has come, and the time that is left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class Plan:
    """How far one or more sweeps of this process have come, and the time that is left.

    Args:
        costs: work of each job, in any unit.

    Attributes:
        done: jobs that ended, one way or another, and had their turn.
        together: numbers, from 0, of the jobs that are computed in one batch now; empty: the job
            whose turn it is is computed alone.
    """

    def __init__(self, costs: Sequence[float] = ()) -> None:
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
