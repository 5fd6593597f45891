"""Adam with projection."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from nst.optim.per_image import PerImage, check_positive


class Adam(torch.optim.Adam, PerImage):
    """Adam (Kingma & Ba 2015) with the image projected to [0, 1] after each step.

    Args:
        params: exactly one tensor (N, 3, H, W).
        lr: step length in units of the [0, 1] range.
        beta1: decay of the mean gradient.
        beta2: decay of the mean squared gradient.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 0.02,
        beta1: float = 0.9,
        beta2: float = 0.99,
    ) -> None:
        check_positive("lr", lr)
        super().__init__(params, lr=lr, betas=(beta1, beta2), foreach=False)

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: Callable[[], object] | None = None, losses: Tensor | None = None
    ) -> Tensor | None:
        """Moves every image once, and projects it. No step is undone."""
        super().step(closure)
        self._image.clamp_(0, 1)
        return losses

    def rescale(self, image: Tensor, resample: Callable[[Tensor], Tensor]) -> None:
        """Replaces the parameter by ``image``, the same images at another size.

        Both moments are resampled, so that no warm-up is necessary.
        """
        (group,) = self.param_groups
        (old,) = group["params"]
        group["params"] = [image]
        state = self.state.pop(old, None)
        if state:
            self.state[image] = state
            state["exp_avg"] = resample(state["exp_avg"])
            # bicubic resampling overshoots, and a mean square must not be negative
            state["exp_avg_sq"] = F.relu(resample(state["exp_avg_sq"]))
