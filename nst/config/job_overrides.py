"""The overrides of jobs, as Hydra's parser reads them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from nst.config.keys import affects_result
from nst.config.overrides import parse


@cache
def split(override: str) -> tuple[str, str] | None:
    """Key and value of an override, both as typed; None for a deletion or for no override.

    ``+group@package=option`` has the key ``group``.
    """
    parsed = parse(override)
    if parsed is None or parsed.is_delete():
        return None
    # not the parsed value: it would turn 1e5 into 100000.0
    return parsed.key_or_group, override.partition("=")[2]


def values(overrides: Sequence[str]) -> dict[str, str]:
    """``["+pair=a", "seed=0"]`` as ``{"pair": "a", "seed": "0"}``."""
    return dict(filter(None, map(split, overrides)))


def meaning(overrides: Sequence[str]) -> dict[str, str]:
    """Those of ``values`` that may change the picture."""
    return {key: value for key, value in values(overrides).items() if affects_result(key)}


def fixed(overrides: Sequence[str], changing: Sequence[str]) -> dict[str, str]:
    """``meaning`` without the changing keys."""
    return {key: value for key, value in meaning(overrides).items() if key not in changing}


def varying(jobs: Sequence[Sequence[str]]) -> list[str]:
    """Keys whose values differ between the jobs, in the order of the overrides."""
    rows = [values(job) for job in jobs]
    keys = dict.fromkeys(key for row in rows for key in row)
    return [key for key in keys if len({row.get(key) for row in rows}) > 1]


def labels(jobs: Sequence[Sequence[str]]) -> list[str]:
    """For each job the overrides in which the jobs differ, in a line: ``init=noise seed=0``."""
    keys = varying(jobs)
    return [
        " ".join(f"{key}={named[key]}" for key in keys if key in named)
        for named in map(values, jobs)
    ]
