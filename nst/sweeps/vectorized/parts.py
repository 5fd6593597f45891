"""Divides a sweep into parts, each of which is prepared and computed at one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from nst.config.job_overrides import split as key_and_value
from nst.sweeps.sweep_folder import Part
from nst.sweeps.vectorized import batches
from nst.transfer.run import Run

JOBS = 64
"""Jobs of a part, at most: all are prepared before the first is computed, at 1.6 MB each."""

KINDS = 64
"""Kinds of jobs that are planned together: one job of each is prepared for it."""

FREE = ("seed", "weights", "init", "divergence", "trial")
"""Keys and groups that say little of which runs share a batch, or how many: jobs that differ in
nothing else are of one kind. A key that is missing here costs time, and changes nothing."""


def parts(
    jobs: Mapping[int, Sequence[str]],
    prepare: Callable[[int], Run | None],
    largest: Callable[[Run], int] = lambda run: JOBS,
    places: int = 1,
) -> Iterator[list[Part]]:
    """Divides a sweep, some parts at a time, so that the first ones begin early.

    Jobs that differ only in keys of ``FREE`` are of one kind, and one job of each kind is prepared
    to find which kinds can share a batch. What is found is for speed alone: a part's own jobs are
    all prepared where it is computed.

    Args:
        jobs: overrides of each job, by its number.
        prepare: the run of a job; None if it is refused.
        largest: how many jobs like a run a part may have.
        places: at which parts are computed at the same time.
    """
    kinds: dict[tuple[str, ...], list[int]] = {}
    for number, overrides in jobs.items():
        kinds.setdefault(_kind(overrides), []).append(number)
    found = list(kinds.values())
    for start in range(0, len(found), KINDS):
        yield _divided(found[start : start + KINDS], prepare, largest, places)


def _kind(overrides: Sequence[str]) -> tuple[str, ...]:
    return tuple(each for each in overrides if not _is_free(each))


def _is_free(override: str) -> bool:
    found = key_and_value(override)
    return found is not None and found[0].partition(".")[0] in FREE


def _divided(
    kinds: Sequence[list[int]],
    prepare: Callable[[int], Run | None],
    largest: Callable[[Run], int],
    places: int,
) -> list[Part]:
    runs: list[Run] = []
    allowed: list[list[int]] = []  # the jobs that are like each run
    found: list[Part] = []
    for numbers in kinds:
        run = next(filter(None, map(prepare, numbers)), None)
        if run is None:
            found += [Part(part, "") for part in batches.split(numbers, JOBS)]
        else:
            runs.append(run)
            allowed.append(numbers)
    grouped = batches.groups(runs)
    reasons = batches.separating(grouped) if grouped else []
    for group, apart in zip(grouped, reasons, strict=True):
        numbers = sorted(number for member in group.members for number in allowed[member])
        most = min(JOBS, largest(runs[group.members[0]]), -(-len(numbers) // places))
        found += [Part(part, apart) for part in batches.split(numbers, max(1, most))]
    return sorted(found, key=lambda part: part.jobs[0])
