"""Which images of a batch have diverged: tracked on the device at each step, read rarely."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import takewhile

import torch
from torch import Tensor

LONGEST_RECOVERY = 12
"""Losses in a row that may be non-finite, while L-BFGS undoes each step and tries a quarter of it.

4^-12 = 6e-8: a step across the whole range [0, 1] is then below what float32 resolves of a pixel.
"""


class Divergence:
    """Compares the losses of N images with where they began.

    An image has diverged once

    - the loss that its next step starts from is not finite, or
    - ``LONGEST_RECOVERY`` losses in a row were not finite, or
    - the loss that its next step starts from is more than ``bound`` times the reference: the
      highest loss at the start of any scale, or the loss of an image without features, whichever is
      higher. Losses differ between scales, and a start close to the target has a loss near 0, which
      any step increases by a large factor.

    Args:
        bounds: one per image; None: a finite loss may grow without limit.
        starts: first steps of the scales.
        device: where the losses are.

    Attributes:
        step: (N,), the step at which each image diverged; -1: it has not.
    """

    def __init__(
        self, bounds: Sequence[float | None], starts: Iterable[int], device: torch.device
    ) -> None:
        self.starts = frozenset(starts)
        infinite = [torch.inf if bound is None else bound for bound in bounds]
        self.bound = torch.tensor(infinite, device=device)
        self.highest_start = torch.zeros_like(self.bound)
        self.not_finite = torch.zeros_like(self.bound, dtype=torch.long)  # in a row
        self.step = torch.full_like(self.not_finite, -1)
        self.loss = torch.zeros_like(self.bound)  # when it diverged, as is the next
        self.reference = torch.zeros_like(self.bound)

    @torch.no_grad()
    def update(self, step: int, losses: Tensor, accepted: Tensor, magnitude: Tensor) -> Tensor:
        """Updates the state after ``step`` updates, without a transfer from the device.

        Args:
            step: updates so far.
            losses: (N,), evaluated at that step.
            accepted: (N,), losses of the images that the next step starts from.
            magnitude: (N,), losses of images without features (``Objective.magnitude``).

        Returns:
            (N,), whether each image has diverged, now or before.
        """
        if step in self.starts:
            self.highest_start = torch.fmax(self.highest_start, losses)
        self.not_finite = torch.where(losses.isfinite(), 0, self.not_finite + 1)
        reference = torch.maximum(self.highest_start, magnitude)
        bound = self.bound * reference
        rose = (bound > 0) & (accepted > bound)
        lost = ~accepted.isfinite() | (self.not_finite >= LONGEST_RECOVERY)
        now = (rose | lost) & (self.step < 0)
        self.step = torch.where(now, step, self.step)
        self.loss = torch.where(now, accepted, self.loss)
        self.reference = torch.where(now, reference, self.reference)
        return self.step >= 0

    def restore(self, index: int, losses: Sequence[float]) -> None:
        """Restores the state from an unfinished run's losses, from step 0 on."""
        starts = [losses[step] for step in self.starts if step < len(losses)]
        self.highest_start[index] = max(filter(math.isfinite, starts), default=0.0)
        undone = takewhile(lambda loss: not math.isfinite(loss), reversed(losses))
        self.not_finite[index] = len(list(undone))

    def keep(self, indices: Sequence[int]) -> None:
        """Drops all images but these."""
        for name in ("bound", "highest_start", "not_finite", "step", "loss", "reference"):
            setattr(self, name, getattr(self, name)[list(indices)])

    def reason(self, index: int) -> str:
        """Why an image has diverged: a clause for messages and ``run.json``."""
        step, loss = int(self.step[index]), float(self.loss[index])
        reference, bound = float(self.reference[index]), float(self.bound[index])
        if not math.isfinite(loss):
            return f"the loss is not finite at step {step}"
        if not loss > bound * reference:
            first = step - LONGEST_RECOVERY + 1
            undone = "each of them undone and shortened"
            return f"the loss is not finite at steps {first} to {step}, {undone}"
        at_start = reference == float(self.highest_start[index])
        scale = "at the start" if at_start else "of an image without features"
        return (
            f"the loss at step {step} is {loss / reference:.3g} times that {scale} "
            f"(divergence={bound:g})"
        )
