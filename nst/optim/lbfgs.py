"""L-BFGS for a batch of images, with a curvature, a step and a history for each image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from nst.optim.per_image import PerImage, check, check_positive

PROJECTIONS = ("honest", "textbook", "none")

GROWTH = 10
"""Pairs by which the history grows: a few steps at a large size do not need memory for all."""

LEAST_COSINE = 0.03
"""The least cosine between displacement and change of gradient of a pair that is kept.

Good pairs have 0.05 or more, in style transfer, textures and reconstructions; mere rounding has
about 0.005.
"""


class LBFGS(PerImage):
    """Limited-memory BFGS for N independent images in one parameter (N, 3, H, W).

    With ``projection="none"``, ``filter_power=0`` and ``first_step=None``, it takes the steps of
    ``torch.optim.LBFGS(max_iter=1)`` (no line search) for each image. Unlike there, no tolerance
    ends it early, and the test of a curvature pair does not depend on the scale of the loss. The
    two-loop recursion (Nocedal & Wright 2006, algorithm 7.4) is solved as two triangular systems
    (Byrd, Nocedal & Schnabel 1994, section 2), so that a step takes a few large operations whatever
    the length of the history.

    A full step sometimes leads far uphill, and recovering takes dozens of steps. With ``max_rise``
    such a step is undone and a quarter of it is tried, which costs one evaluation. A step without
    ``losses`` undoes nothing.

    Args:
        params: exactly one tensor (N, 3, H, W).
        lr: step length along the quasi-Newton direction; 1 is that of the method.
        history_size: largest number of curvature pairs.
        projection: how the image is kept in [0, 1]. ``honest``: clamp after the step, and build the
            pair from the displacement that remains. ``textbook``: clamp, but build the pair from
            the step before clamping, as the textbook loop does, which clamps in its closure.
            ``none``: do not clamp.
        filter_power: p of the first guess of the inverse Hessian, a filter 1/f^p over image
            frequencies f instead of a scalar; 0: the scalar.
        max_rise: a step that multiplies an image's loss by more than this is undone. None: never.
        first_step: how far a step moves a pixel on average, in units of the [0, 1] range, until
            there is a curvature pair; pairs that are hardly more than noise are dropped
            (``LEAST_COSINE``). None: as in torch, the sum of all movements is at most 1. The change
            of gradient is then mostly rounding, and the first pair can mislead for dozens of steps.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1.0,
        history_size: int = 50,
        projection: str = "honest",
        filter_power: float = 0.75,
        max_rise: float | None = 1.1,
        first_step: float | None = 0.02,
    ) -> None:
        check_positive("lr", lr)
        valid = isinstance(history_size, int) and 1 <= history_size <= 1000
        check("history_size", history_size, valid, "must be a whole number from 1 to 1000")
        allowed = f"allowed: {', '.join(PROJECTIONS)}"
        check("projection", projection, projection in PROJECTIONS, allowed)
        valid = isinstance(filter_power, int | float) and 0 <= filter_power <= 2
        check("filter_power", filter_power, valid, "must be a number from 0 to 2")
        valid = max_rise is None or (isinstance(max_rise, int | float) and max_rise >= 1)
        check("max_rise", max_rise, valid, "must be a number of at least 1, or null")
        valid = first_step is None or (isinstance(first_step, int | float) and 0 < first_step <= 1)
        check("first_step", first_step, valid, "must be a number above 0, at most 1, or null")
        super().__init__(params, {"lr": lr})
        self.history_size = history_size
        self.projection = projection
        self.filter_power = float(filter_power)
        self.max_rise = max_rise
        self.first_step = first_step

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: Callable[[], object] | None = None, losses: Tensor | None = None
    ) -> Tensor | None:
        """Moves every image once, and undoes the previous step where it raised the loss too much.

        See ``PerImage.step``.
        """
        if closure is not None:
            with torch.enable_grad():
                closure()
        image = self._image
        assert image.grad is not None
        gradient = image.grad.flatten(1)
        state = self.state[image]
        if not state:
            self._start(state, gradient, losses)
            direction = -self._filtered(gradient)
            step = self._lr * direction * self._first_length(direction)
        else:
            gradient = self._revert_bad_steps(state, gradient, losses)
            self._store_pair(state, gradient)
            direction = self._direction(state, gradient)
            length = state["shrink"]
            if self.first_step is not None:  # where no pair has been kept yet
                first = length * self._first_length(direction)
                length = torch.where(state["kept"][:, None] > 0, length, first)
            step = self._lr * length * direction
        step = step.view_as(image)
        before = image.clone()
        image.add_(step)
        if self.projection != "none":
            image.clamp_(0, 1)
        moved = image - before if self.projection == "honest" else step
        state["before"], state["moved"] = before, moved.flatten(1)
        state["gradient"] = gradient.clone()
        return losses if self.max_rise is None else state.get("losses", losses)

    def _first_length(self, direction: Tensor) -> Tensor:
        """(N, 1): the step lengths along the directions while there is no curvature pair."""
        if self.first_step is None:
            return (1 / direction.abs().sum(1, keepdim=True)).clamp(max=1)
        mean = direction.abs().mean(1, keepdim=True)
        return self.first_step / mean.clamp(min=torch.finfo(mean.dtype).tiny)  # 0 stays 0

    def _revert_bad_steps(
        self, state: dict[str, Tensor], gradient: Tensor, losses: Tensor | None
    ) -> Tensor:
        """Undoes the last step of the images whose loss it raised too much.

        Returns:
            The gradients; of an image whose step is undone, the gradient before that step.
        """
        if self.max_rise is None or losses is None:
            return gradient
        fine = losses <= self.max_rise * state["losses"]  # false for NaN as well
        state["shrink"] = torch.where(fine[:, None], 1.0, state["shrink"] / 4)
        state["losses"] = torch.where(fine, losses, state["losses"])
        self._image.copy_(torch.where(fine[:, None, None, None], self._image, state["before"]))
        return torch.where(fine[:, None], gradient, state["gradient"])

    @torch.no_grad()
    def revert_last_step(self, losses: Tensor) -> bool:
        """Undoes the last step of the images whose loss it raised too much."""
        state = self.state[self._image]
        before = self._image.clone()
        self._revert_bad_steps(state, state["gradient"], losses)
        return not torch.equal(before, self._image)

    def rescale(self, image: Tensor, resample: Callable[[Tensor], Tensor]) -> None:
        """Replaces the parameter by ``image``, the same images at another size.

        All pairs are dropped: the curvature at another scale is different.
        """
        self.state.clear()
        self.param_groups[0]["params"] = [image]

    def state_of(self, index: int) -> dict[str, Tensor]:
        """The state of one image, with the filled slots of the history."""
        part = super().state_of(index)
        if part:
            filled = min(int(part["kept"]), self.history_size)
            part |= {name: part[name][:, :filled] for name in ("s", "y")}
        return part

    def restore(self, parts: Sequence[dict[str, Tensor]]) -> None:
        """Restores what ``state_of`` returned for each image; empty slots hold zeros."""
        slots = self._slots(int(parts[0]["updates"])) if parts[0] else 0
        histories = [{name: part[name] for name in ("s", "y") if part} for part in parts]
        super().restore(
            [
                part | {name: _padded(history, slots) for name, history in found.items()}
                for part, found in zip(parts, histories, strict=True)
            ]
        )

    @property
    def _lr(self) -> float:
        return self.param_groups[0]["lr"]

    def _start(self, state: dict[str, Tensor], gradient: Tensor, losses: Tensor | None) -> None:
        count, size = gradient.shape
        pairs = self.history_size
        state["s"] = gradient.new_zeros(count, 0, size)
        state["y"] = gradient.new_zeros(count, 0, size)
        state["updates"] = torch.tensor(0)  # on the CPU: reading it must not wait for a GPU
        state["sy"] = gradient.new_zeros(count, pairs, pairs)  # s_i · y_j by slot
        state["kept"] = torch.zeros(count, dtype=torch.long, device=gradient.device)
        state["gamma"] = gradient.new_ones(count, 1)
        state["shrink"] = gradient.new_ones(count, 1)
        if losses is not None:
            state["losses"] = losses

    def _store_pair(self, state: dict[str, Tensor], gradient: Tensor) -> None:
        """Puts the last displacement and change of gradient into each image's next slot."""
        state["updates"] += 1
        slots = self._slots(int(state["updates"]))
        if slots > state["s"].shape[1]:
            state["s"], state["y"] = _padded(state["s"], slots), _padded(state["y"], slots)
        s, y = state["moved"], gradient - state["gradient"]
        curvature = _dot(s, y)
        # Positive by more than rounding, relative to the pair's lengths, whatever the loss's scale.
        least = 1e-7 if self.first_step is None else LEAST_COSINE
        keep = curvature > least * s.norm(dim=1) * y.norm(dim=1)
        row = torch.arange(len(s), device=s.device)
        slot = state["kept"] % self.history_size
        for name, new in (("s", s), ("y", y)):
            old = state[name][row, slot]
            state[name][row, slot] = torch.where(keep[:, None], new, old)
        column = _padded(_products(state["s"], y)[..., None], self.history_size)[..., 0]
        state["sy"][row, :, slot] = torch.where(keep[:, None], column, state["sy"][row, :, slot])
        # The first guess agrees with the last pair along y: gamma = s·y / y·Py.
        gamma = curvature / _dot(y, self._filtered(y))
        state["gamma"] = torch.where(keep[:, None], gamma[:, None], state["gamma"])
        state["kept"] += keep

    def _direction(self, state: dict[str, Tensor], gradient: Tensor) -> Tensor:
        """-H g: both loops of the recursion, for all pairs at once.

        With pairs in order of age, R the upper triangle of s_i · y_j and D its diagonal:
        R a = S g;  r = gamma P (g - Yᵀ a);  Rᵀ b = D a - Y r;  H g = r + Sᵀ b.
        """
        s, y, kept = state["s"], state["y"], state["kept"]
        pairs = self.history_size
        age_order = (kept[:, None] + torch.arange(pairs, device=s.device)) % pairs  # oldest first
        rows = age_order[:, :, None].expand(-1, -1, pairs)
        columns = age_order[:, None, :].expand(-1, pairs, -1)
        upper = state["sy"].gather(1, rows).gather(2, columns).triu()
        diagonal = upper.diagonal(dim1=1, dim2=2)
        # Empty slots hold zeros; a 1 on their diagonal leaves them without effect.
        upper = upper + torch.diag_embed((diagonal == 0).to(upper.dtype))

        def products(vectors: Tensor, v: Tensor) -> Tensor:  # (N, pairs, 1), oldest first
            return _padded(_products(vectors, v)[..., None], pairs).gather(1, age_order[..., None])

        def combined(vectors: Tensor, by_age: Tensor) -> Tensor:
            by_slot = torch.zeros_like(by_age).scatter(1, age_order[..., None], by_age)
            return _combined(vectors, by_slot[:, : vectors.shape[1], 0])

        a = torch.linalg.solve_triangular(upper, products(s, gradient), upper=True)
        r = state["gamma"] * self._filtered(gradient - combined(y, a))
        right = diagonal[..., None] * a - products(y, r)
        b = torch.linalg.solve_triangular(upper.mT, right, upper=False)
        return -(r + combined(s, b))

    def _slots(self, updates: int) -> int:
        """Length of the history after so many updates: in steps of ``GROWTH``, at most its size."""
        return min(-(-updates // GROWTH) * GROWTH, self.history_size)

    def _filtered(self, flat: Tensor) -> Tensor:
        """P v: ``flat`` (N, 3·H·W) with every image frequency f scaled by 1/f^p."""
        if self.filter_power == 0:
            return flat
        height, width = self._image.shape[-2:]
        spectrum = torch.fft.rfft2(flat.view_as(self._image))
        spectrum = spectrum * _frequency_filter(height, width, self.filter_power, flat.device)
        return torch.fft.irfft2(spectrum, s=(height, width)).flatten(1)


_filters: dict[tuple[int, int, float, torch.device], Tensor] = {}


def _frequency_filter(height: int, width: int, power: float, device: torch.device) -> Tensor:
    """1/f^p over the half-plane of ``rfft2``, f in cycles per picture side, at least 1."""
    key = (height, width, power, device)
    if key not in _filters:
        _filters.clear()  # only one scale at a time is used
        vertical = torch.fft.fftfreq(height, device=device)[:, None]
        horizontal = torch.fft.rfftfreq(width, device=device)
        frequency = (vertical.square() + horizontal.square()).sqrt() * math.sqrt(height * width)
        _filters[key] = frequency.clamp(min=1).pow(-power)
    return _filters[key]


def _padded(history: Tensor, slots: int) -> Tensor:
    """(N, m, size) with zeros up to (N, slots, size)."""
    return F.pad(history, (0, 0, 0, slots - history.shape[1]))


def _products(vectors: Tensor, v: Tensor) -> Tensor:
    """Inner products (N, m) of each image's ``vectors`` (N, m, size) with its ``v`` (N, size).

    Rows times a matrix: in the other order, batched products on CPUs are ten times slower.
    """
    return (v[:, None] @ vectors.mT).squeeze(1)


def _combined(vectors: Tensor, weights: Tensor) -> Tensor:
    """(N, size): the sums of ``vectors`` (N, m, size) with ``weights`` (N, m)."""
    return (weights[:, None] @ vectors).squeeze(1)


def _dot(left: Tensor, right: Tensor) -> Tensor:
    return (left * right).sum(1)
