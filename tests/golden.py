"""Recorded losses of short optimisations. ``python -m tests.golden`` records them anew.

In double precision, so that they hold on other processors too.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from tests.helpers import module, optimise, prepared

FILE = Path(__file__).with_name("golden.json")
TORCH = "optimizer.first_step=null"
CASES = {
    "lbfgs-first-step": ["init=noise"],
    "lbfgs-noise": ["init=noise", TORCH],
    "lbfgs-content-weighted": ["layer_weights.style=[1,1,1,1,4]", "weights.tv=10", TORCH],
    "lbfgs-plain": [
        "init=noise",
        "optimizer.filter_power=0",
        "optimizer.projection=none",
        "optimizer.max_rise=null",
        TORCH,
    ],
    "lbfgs-pyramid": ["init=noise", "schedule=pyramid", TORCH],
    "adam-pyramid": ["init=blend", "optimizer=adam", "schedule=pyramid"],
    "texture-average-replicate": [
        "task=texture_synthesis",
        "init=noise",
        "init.kind=gaussian",
        "backbone.pooling=average",
        "backbone.padding=replicate",
        TORCH,
    ],
    "reconstruction": [
        "task=content_reconstruction",
        "init=noise",
        "layers.content=[conv_3]",
        TORCH,
    ],
}


def trajectory(case: str) -> list[float]:
    """Total loss at each of 15 steps and of the result, 64 px."""
    # A photo as style: drawn pictures may differ by a bit between versions of the drawing library.
    overrides = ["+preset=report", "image.size=64", "steps=15", "style=ihc", *CASES[case]]
    losses = optimise(module([prepared(*overrides)], torch.float64))["total"][:, 0]
    return [float(f"{value:.8g}") for value in losses]


if __name__ == "__main__":
    FILE.write_text(json.dumps({case: trajectory(case) for case in CASES}, indent=1) + "\n")
    print(FILE)
