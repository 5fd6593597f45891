"""The state that an unfinished run resumes from."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Checkpoint:
    """One run between two steps.

    Attributes:
        signature: of the run.
        step: updates so far.
        seconds: since the first step.
        image: (3, H, W), RGB in [0, 1], at the scale of the next step.
        optimizer: the optimiser's state of this image.
        rows: metrics so far.
        best: (loss, step, image) with the lowest loss so far at this scale.
    """

    signature: str
    step: int
    seconds: float
    image: Tensor
    optimizer: dict[str, Tensor]
    rows: list[dict[str, float]]
    best: tuple[float, int, Tensor]
