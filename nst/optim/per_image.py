"""What the optimisers of a batch of images have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class PerImage(torch.optim.Optimizer):
    """An optimiser of one parameter (N, 3, H, W) whose state can be had image by image."""

    def step(  # type: ignore[override]
        self, closure: Callable[[], object] | None = None, losses: Tensor | None = None
    ) -> Tensor | None:
        """Moves every image once, by the gradient that it has.

        Args:
            closure: called first, if given; it may compute the gradient.
            losses: (N,), of the images before the step. Without them no step is undone.

        Returns:
            (N,), losses of the images that the step started from: ``losses``, or where the step
            before was undone, the loss before that one. None without ``losses``.
        """
        raise NotImplementedError

    def of(self, index: int) -> dict[str, Tensor]:
        """What is known of one image, as views of shape (1, …); plain numbers as they are."""
        state = self.state.get(self._image, {})
        return {
            name: value[index : index + 1] if value.dim() else value
            for name, value in state.items()
        }

    def restore(self, parts: Sequence[dict[str, Tensor]]) -> None:
        """Puts back what ``of`` gave, an element per image."""
        device = self._image.device
        self.state[self._image] = {
            name: torch.cat([part[name] for part in parts]).to(device) if value.dim() else value
            for name, value in parts[0].items()
        }

    def settle(self, losses: Tensor) -> bool:
        """Undoes last steps that turn out bad when nothing is to follow them.

        Args:
            losses: (N,) after the last step.

        Returns:
            Whether any image went back; never, where steps are short.
        """
        return False

    def rescale(self, image: Tensor, resample: Callable[[Tensor], Tensor]) -> None:
        """Goes on with the parameter ``image``, the old one at another size.

        Args:
            image: (N, 3, H, W).
            resample: from the old size to the new one.
        """
        raise NotImplementedError

    @property
    def _image(self) -> Tensor:
        return self.param_groups[0]["params"][0]


def check_positive(name: str, value: float) -> None:
    """Refuses a value of an argument that is not a positive, finite number.

    Raises:
        ValueError: names the argument.
    """
    if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
        raise ValueError(f"{name}={value}: must be a number above 0")
