"""How many trials of a study a launcher runs together at little cost."""

from __future__ import annotations

import torch
from omegaconf import DictConfig

from nst.sweeps.vectorized import batches
from nst.sweeps.workers import workers_of

ROUNDS = 5
"""Least number of batches of a study: the trials of a batch do not learn from each other."""


def trials_per_batch(config: DictConfig, n_trials: int) -> int:
    """The number of trials that are launched together.

    Args:
        config: composed for a multirun, ``hydra`` included.
        n_trials: of the study.
    """
    launcher = config.hydra.launcher
    useful = workers_of(launcher)
    if str(launcher._target_).endswith(".VectorizedLauncher"):
        useful = batches.useful(config.image.size**2, torch.cuda.is_available())
        if launcher.max_batch_size is not None:
            useful = min(useful, launcher.max_batch_size)
        if launcher.get("over") is not None:
            useful *= launcher.workers or workers_of(launcher.over)
    return max(1, min(useful, -(-n_trials // ROUNDS)))
