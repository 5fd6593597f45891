"""How many processes a launcher of Hydra's uses at the same time, by its settings."""

from __future__ import annotations

import os
from typing import Any

from nst.sweeps.local import places


def workers_of(launcher: Any) -> int:
    """Jobs that a launcher runs at the same time; 1 where its settings do not say.

    Args:
        launcher: its config.

    Raises:
        ConfigError: if a setting of ``hydra/launcher=local`` is wrong.
    """
    if str(launcher.get("_target_")).startswith("hydra_plugins.nst_local."):
        return len(places(launcher.processes, launcher.cores))
    for name in ("n_jobs", "array_parallelism"):  # joblib, submitit
        number = launcher.get(name)
        if number is not None:
            # joblib: below 0, all processors but so many
            return max(1, number if number > 0 else (os.cpu_count() or 1) + 1 + number)
    return 1
