"""Which images of a batch have reached the loss, or the plateau, that their runs end at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from nst.config.schema import UntilConfig


class Until:
    """Compares the losses of N images at the final size with where their runs end.

    A run ends once its loss is at most ``loss``, or once its lowest loss has fallen by less than
    the fraction ``plateau`` within ``window`` steps.

    Args:
        configs: one per image.
        device: where the losses are.

    Attributes:
        step: (N,), the step at which each image ended; -1: it has not.
    """

    def __init__(self, configs: Sequence[UntilConfig], device: torch.device) -> None:
        self.configs = list(configs)
        self.device = device
        self.step = torch.full((len(self.configs),), -1, device=device)
        self.loss = self._vector(each.loss for each in self.configs)
        self.plateau = self._vector(each.plateau for each in self.configs)
        windows = [each.window if each.plateau is not None else 0 for each in self.configs]
        self._longest = max(windows, default=0)
        self._with = {  # (N,), which images have this window
            window: torch.tensor([each == window for each in windows], device=device)
            for window in {*windows} - {0}
        }
        self._lowest: list[Tensor] = []  # (N,) at each of the last steps

    @property
    def used(self) -> bool:
        """Whether any of the runs may end before its last step."""
        return any(each.loss is not None or each.plateau is not None for each in self.configs)

    @torch.no_grad()
    def update(self, step: int, losses: Tensor) -> None:
        """Updates the state after ``step`` updates, without a transfer from the device.

        Args:
            step: updates so far.
            losses: (N,), evaluated at that step; those that are not finite are ignored.
        """
        if not self.used:
            return
        losses = losses.where(losses.isfinite(), torch.inf)
        self._add(losses)
        now = losses <= self.loss  # false for NaN, which stands for null
        for window, own in self._with.items():
            if len(self._lowest) > window:
                least = (1 - self.plateau) * self._lowest[-1 - window]
                now |= own & (self._lowest[-1] > least)
        self.step = torch.where(now & (self.step < 0), step, self.step)

    def restore(self, losses: Sequence[Sequence[float]]) -> None:
        """Restores the state of unfinished runs.

        Args:
            losses: of each image, at the steps of the final size so far.
        """
        for row in zip(*losses, strict=True):
            self._add(torch.tensor(row, device=self.device))

    def keep(self, indices: Sequence[int]) -> None:
        """Drops all images but these."""
        kept = list(indices)
        self.configs = [self.configs[index] for index in kept]
        self.step, self.loss, self.plateau = self.step[kept], self.loss[kept], self.plateau[kept]
        self._with = {window: own[kept] for window, own in self._with.items()}
        self._lowest = [each[kept] for each in self._lowest]

    def reason(self, index: int) -> str:
        """Why a run ended: a clause for ``run.json``."""
        config = self.configs[index]
        if config.plateau is None:
            return f"until.loss={config.loss:g}"
        plateau = f"until.plateau={config.plateau:g}, until.window={config.window}"
        return plateau if config.loss is None else f"until.loss={config.loss:g} or {plateau}"

    def _add(self, losses: Tensor) -> None:
        before = self._lowest[-1] if self._lowest else torch.inf
        self._lowest.append(torch.where(losses < before, losses, before))
        del self._lowest[: -1 - self._longest]

    def _vector(self, values: Iterable[float | None]) -> Tensor:
        found = [torch.nan if value is None else value for value in values]
        return torch.tensor(found, device=self.device)
