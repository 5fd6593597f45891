"""The base of the optimisers of a batch of images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class PerImage(torch.optim.Optimizer):
    """An optimiser of one parameter (N, 3, H, W) with a separable state for each image."""

    def step(  # type: ignore[override]
        self, closure: Callable[[], object] | None = None, losses: Tensor | None = None
    ) -> Tensor | None:
        """Updates every image once, using its current gradient.

        Args:
            closure: called first; it may compute the gradient. None: it is computed already.
            losses: (N,), of the images before the step. None: no step is undone.

        Returns:
            (N,), losses of the images from which the step starts: ``losses``, or, where the
            previous step is undone, the loss before it. Meaningless without ``losses``.
        """
        raise NotImplementedError

    def state_of(self, index: int) -> dict[str, Tensor]:
        """The state of one image, as views (1, …); 0-d tensors are shared by all images."""
        state = self.state.get(self._image, {})
        return {
            name: value[index : index + 1] if value.dim() else value
            for name, value in state.items()
        }

    def restore(self, parts: Sequence[dict[str, Tensor]]) -> None:
        """Restores the state from what ``state_of`` returned for each image."""
        device = self._image.device
        self.state[self._image] = {
            name: torch.cat([part[name] for part in parts]).to(device) if value.dim() else value
            for name, value in parts[0].items()
        }

    def revert_last_step(self, losses: Tensor) -> bool:
        """Undoes the last step where it raised the loss too much, at the end of the optimisation.

        Args:
            losses: (N,) after the last step.

        Returns:
            Whether any step was undone; always False if the optimiser undoes none.
        """
        return False

    def rescale(self, image: Tensor, resample: Callable[[Tensor], Tensor]) -> None:
        """Replaces the parameter by ``image``, the same images at another size.

        Args:
            image: (N, 3, H, W).
            resample: resizes tensors (N, 3, H, W) from the old size to the new one.
        """
        raise NotImplementedError

    @property
    def _image(self) -> Tensor:
        return self.param_groups[0]["params"][0]


def check_positive(name: str, value: float) -> None:
    """Checks that an argument is a positive, finite number.

    Raises:
        ValueError: naming the argument.
    """
    number = isinstance(value, int | float) and math.isfinite(value)
    check(name, value, number and value > 0, "must be a number above 0")


def check(name: str, value: object, valid: bool, allowed: str) -> None:
    """Raises a ``ValueError`` naming an argument, unless its value is valid."""
    if not valid:
        raise ValueError(f"{name}={value}: {allowed}")
