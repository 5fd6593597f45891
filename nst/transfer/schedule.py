"""Coarse-to-fine schedules: the size of the image at each step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from nst.config.schema import Config

FIXED_PIXELS = 6500
"""What a step takes besides its pixels, as a number of pixels: the steps of 64 and 256 px in
bfloat16 in docs/bench.md give 6850 on one CPU and 5900 on another; those of 128 px agree to 3 %."""


@dataclass(frozen=True)
class Scale:
    """One size of the image and its steps.

    Attributes:
        fraction: of the final size.
        size: shorter side, px.
        start: first step at this size.
        stop: first step after it.
        style: fraction of the style weight.
        draw: number of the random choices of the style loss, from 0.
    """

    fraction: float
    size: int
    start: int
    stop: int
    style: float = 1.0
    draw: int = 0


def scales(config: Config) -> list[Scale]:
    """The schedule in pixels and steps; the rounded shares add up to ``steps``.

    Every scale has a step: ``config.checks`` requires at least as many steps as scales. Sizes are
    multiples of ``Config.side_step``, and fractions are then those of the rounded sizes.
    """
    unit = config.side_step
    schedule, final = config.schedule, config.image.size
    sizes = schedule.fractions(final, config.steps)
    shares = schedule.shares(final, config.steps)
    style = schedule.style or [1.0] * len(sizes)
    result, start, done = [], 0, 0.0
    for index, (fraction, share) in enumerate(zip(sizes, shares, strict=True)):
        done += share
        later = len(sizes) - index - 1
        stop = round(config.steps * done / sum(shares))
        stop = config.steps if later == 0 else min(max(stop, start + 1), config.steps - later)
        size = nearest_multiple(final * fraction, unit)
        exact = fraction if unit == 1 else size / final
        result.append(Scale(exact, size, start, stop, style[index]))
        start = stop
    return result


def work(found: Sequence[Scale], steps: int) -> float:
    """What the first steps take, in any unit: a step takes longer the more pixels it has.

    Args:
        found: the scales of a run.
        steps: how many steps.
    """
    return float(
        sum(
            max(0, min(steps, scale.stop) - scale.start) * (scale.size**2 + FIXED_PIXELS)
            for scale in found
        )
    )


def nearest_multiple(side: float, unit: int) -> int:
    """The multiple of ``unit`` that is nearest to the length of a side, but not 0, px."""
    return max(1, round(side / unit)) * unit


def redrawn(found: Sequence[Scale], every: int | None) -> list[Scale]:
    """Numbers the draws of the style loss: one for each scale, and one after so many steps of it.

    A change of the objective ends a scale, whether or not the size changes.
    """
    parts = [
        replace(scale, start=start, stop=min(start + every, scale.stop) if every else scale.stop)
        for scale in found
        for start in range(scale.start, scale.stop, every or scale.stop)
    ]
    return [replace(part, draw=number) for number, part in enumerate(parts)]


def float32_from(config: Config) -> int:
    """First step that runs in float32 whatever the precision; the number of steps if none does."""
    last = scales(config)[-1]
    return last.stop - round(config.schedule.precise * (last.stop - last.start))


class Steps:
    """Step numbers, in place of a data loader.

    Args:
        first: 0, or the step at which an unfinished run resumes.
        total: the last step's number plus 1.
    """

    def __init__(self, first: int, total: int) -> None:
        self.first = first
        self.total = total

    def __len__(self) -> int:
        return self.total - self.first

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.total))
