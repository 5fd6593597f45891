"""Which runs can share a batch, and how many of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from nst.config.keys import batch_shares, values
from nst.losses import Loss
from nst.transfer.run import Run
from nst.vgg import architecture

COST_SHARE = 0.8
"""A run joins a group only if its cost alone is at least this share of its cost in the group."""

USEFUL_PIXELS = 2**21
"""Pixels of a batch on a GPU, at most: more need memory and save no time. An estimate."""

USEFUL_CPU_PIXELS, USEFUL_CPU_IMAGES = 2**16, 16
"""The same for two cores, measured: beyond them an image takes longer (docs/vectorized.md)."""


TERMS = ("content", "style")


@dataclass
class Group:
    """Runs that can share a batch.

    Attributes:
        shared: the values that they have in common, by dotted key.
        deepest: the deepest layer that they need.
        work: multiply-adds per pixel up to that layer.
        members: indices of the runs, in order.
    """

    shared: dict[str, Any]
    deepest: str
    work: float
    members: list[int] = field(default_factory=list)


def groups(runs: Sequence[Run]) -> list[Group]:
    """Groups runs that can share a batch.

    The runs of a group may differ in pictures, colour, layer sets, weights, layer weights, inits,
    seeds, loggers and divergence bounds. A run that is much shallower than the others gets another
    group, because in theirs it would pay for their depth. So do runs with other losses, unless each
    of them is the only one with its losses: the losses of a batch would copy its features.

    Args:
        runs: resolved.

    Returns:
        Every run in one group; groups in the order of their first runs.
    """
    found: list[Group] = []
    depths = [_deepest(run) for run in runs]
    # the costliest first: the first run decides the cost of its group
    for index in sorted(range(len(runs)), key=lambda index: -depths[index][1]):
        shared = _shared(runs[index])
        deepest, work = depths[index]
        for group in found:
            if group.shared == shared and work >= COST_SHARE * group.work:
                break
        else:
            group = Group(shared, deepest, work)
            found.append(group)
        group.members.append(index)
    parts = [part for group in found for part in _by_losses(group, runs)]
    return sorted(parts, key=lambda group: group.members[0])


def _by_losses(group: Group, runs: Sequence[Run]) -> list[Group]:
    """Parts of a group with the same losses; those of a single run stay together."""
    parts: list[tuple[list[Loss | None], list[int]]] = []
    for index in sorted(group.members):
        losses = [runs[index].loss(term) for term in TERMS]
        for known, members in parts:
            if all(None in pair or pair[0] == pair[1] for pair in zip(known, losses, strict=True)):
                known[:] = [one or other for one, other in zip(known, losses, strict=True)]
                members.append(index)
                break
        else:
            parts.append((losses, [index]))
    if len(parts) == 1:
        return [replace(group, members=parts[0][1])]
    several = [members for _, members in parts if len(members) > 1]
    single = [index for _, members in parts if len(members) == 1 for index in members]
    found = [replace(group, shared=group.shared | _losses(runs[p[0]]), members=p) for p in several]
    return found + [replace(group, members=single)] * bool(single)


def _losses(run: Run) -> dict[str, Any]:
    """The names of a run's losses, by key."""
    config = {"content": run.config.content_loss, "style": run.config.style_loss}
    used = [term for term in TERMS if run.loss(term) is not None]
    return {f"{term}_loss": config[term].get("name") for term in used}


def _shared(run: Run) -> dict[str, Any]:
    """The values that the runs of a batch must have in common."""
    shared = {name: value for name, value in values(run.config).items() if batch_shares(name)}
    for name in ("image.size", "schedule.steps", "schedule.coarsest"):
        del shared[name]  # shapes and steps stand for them
    shapes = [run.shape(scale) for scale in run.scales]
    return {
        "picture": [f"{width}x{height}" for height, width in shapes],
        **shared,
        "steps": [scale.stop for scale in run.scales],
        "schedule.sizes": [scale.fraction for scale in run.scales],
        "schedule.style": [scale.style for scale in run.scales],
        "precision": run.resolved.precision,
    }


def _deepest(run: Run) -> tuple[str, float]:
    """The deepest layer of a run, and the multiply-adds per pixel up to it."""
    backbone = run.config.backbone.name
    work = {tap: architecture.work(tap, backbone) for tap in sorted(run.taps)}
    deepest = max(work, key=work.__getitem__)
    return deepest, work[deepest]


def separating(found: Sequence[Group]) -> list[str]:
    """For each group, in a line, what separates it from the others: ``precision=32``.

    Empty if there is one group.
    """
    keys = dict.fromkeys(key for group in found for key in group.shared)
    differing = [key for key in keys if len({str(each.shared.get(key)) for each in found}) > 1]
    # arguments of different classes cannot be compared
    classes = [key.removesuffix("_target_") for key in differing if key.endswith("._target_")]
    lines = []
    for group in found:
        own = {
            key: group.shared[key]
            for key in differing
            if key in group.shared
            and (key.endswith("._target_") or not key.startswith(tuple(classes)))
        }
        if any(each.shared == group.shared for each in found if each is not group):
            own["deepest layer"] = group.deepest
        lines.append(" ".join(f"{key}={_text(value)}" for key, value in own.items()))
    return lines


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def split(members: Sequence[int], most: int) -> list[list[int]]:
    """The fewest parts of at most ``most`` members, as even as possible: 9 by 8 as 5 and 4."""
    count = -(-len(members) // most)
    least, larger = divmod(len(members), count)
    parts, start = [], 0
    for index in range(count):
        stop = start + least + (index < larger)
        parts.append(list(members[start:stop]))
        start = stop
    return parts


def useful(pixels: int, gpu: bool) -> int:
    """How many images of so many pixels one batch computes as fast as several batches would.

    Args:
        pixels: of one image.
        gpu: whether a GPU computes it; else all threads of this process do.
    """
    if gpu:
        return max(1, USEFUL_PIXELS // pixels)
    pairs = max(1, torch.get_num_threads() // 2)
    # two large images are still faster than one after the other
    return pairs * max(2, min(USEFUL_CPU_IMAGES, USEFUL_CPU_PIXELS // pixels))


def largest(
    image_bytes: int, room: int, pixels: int, gpu: bool, most: int | None
) -> tuple[int, str]:
    """How many images a batch may have, and what limits it.

    Args:
        image_bytes: memory of one image.
        room: memory of all images, bytes.
        pixels: of one image.
        gpu: whether a GPU computes the batch.
        most: ``max_batch_size``; None: no limit but memory and speed.

    Returns:
        (number, at least 1; the limit in words).
    """
    fit = f"{image_bytes / 1e9:.2g} GB each fit in {room / 1e9:.2g} GB"
    limits = [(room // image_bytes, fit), (useful(pixels, gpu), "more would not be faster")]
    if most is not None:
        limits.append((most, f"max_batch_size={most}"))
    number, why = min(limits, key=lambda limit: limit[0])
    return max(1, number), why
