"""Finds the ``scale`` of each loss in ``conf/``: ``python -m tests.bench.calibrate``.

A loss gets the scale that gives it the gradient of ``gram``, or of ``features`` for content losses:
the same norm at ``weights=medium``, as a geometric mean over the built-in pairs and over images on
the way of a run with ``gram`` from the content. Losses shrink at different rates on that way,
``gram`` as a fourth power; the mean lies between its start and its end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from nst.config.compose import conf_dir
from nst.transfer.module import StyleTransfer
from nst.transfer.objective import Objective
from nst.transfer.run import Run
from tests.bench.loop import tell
from tests.helpers import STYLE_LOSSES, module, prepared, resolved

PAIRS = tuple(
    sorted(path.stem for path in (Path(conf_dir()) / "pair").glob("*.yaml") if path.stem != "none")
)
LOSSES = {
    "style": tuple(name for name in STYLE_LOSSES if name != "gram"),
    "content": ("self_similarity",),
}
STEPS = (0, 10, 60)
"""Of the run with ``gram``; its images after so many updates are measured."""


def scales(
    pairs: Sequence[str] = PAIRS, steps: Sequence[int] = STEPS, size: int = 128
) -> dict[str, float]:
    """The scale of each loss by the name of its option.

    Args:
        pairs: options of the group ``pair``.
        steps: updates of the images that are measured.
        size: of the images, px.
    """
    logs: dict[str, list[float]] = {name: [] for names in LOSSES.values() for name in names}
    for pair in pairs:
        tell(f"calibrate: {pair}")
        size_is, steps_are = f"image.size={size}", f"steps={max(steps) + 2}"
        common = ("+preset=report", f"pair={pair}", "weights=medium", size_is, steps_are)
        for term, names in LOSSES.items():
            plain = prepared(*common)
            losses = {
                name: prepared(*common, f"{term}_loss={name}", f"{term}_loss.scale=1").loss(term)
                for name in names
            }
            for step, made in _images(plain, steps):
                if term == "content" and step == 0:
                    continue  # the content itself has no gradient
                wanted = _gradient(made, plain, term)
                for name, loss in losses.items():
                    own = _gradient(made, resolved(plain, **{f"{term}_loss": loss}), term)
                    logs[name].append(math.log(wanted / own))
    return {name: math.exp(sum(found) / len(found)) for name, found in logs.items() if found}


def _images(run: Run, steps: Sequence[int]) -> Iterator[tuple[int, StyleTransfer]]:
    """The module of a run after each of so many updates."""
    made = module([run])
    for step in range(max(steps) + 1):
        if step in steps:
            yield step, made
        made.training_step(step, step)


def _gradient(made: StyleTransfer, run: Run, term: str) -> float:
    """Norm of the gradient of a run's content or style loss at the current image."""
    objective = Objective(made.backbone, [run], made.scale, made.device)
    image = made.image.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(objective(image)[term].sum(), image)
    return float(gradient.norm())


def main() -> None:
    """Prints the scales."""
    for name, scale in scales().items():
        print(f"{name}: {scale:.3g}")


if __name__ == "__main__":
    main()
