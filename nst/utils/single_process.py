"""One process is one run, whatever the variables of a cluster say.

Lightning takes ``RANK``, ``LOCAL_RANK`` or ``SLURM_PROCID`` for the place of the process among
several that train one model, and loggers of all but the first write nothing. Here such processes
are independent: each computes its own runs, and logs them.
"""

from __future__ import annotations

import warnings

from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.rank_zero import rank_zero_only

rank_zero_only.rank = 0  # type: ignore[attr-defined]  # Lightning set it from the environment when it was imported
warnings.filterwarnings("ignore", "The `srun` command is available")  # runs need none


class OneProcess(LightningEnvironment):
    """The cluster of a Trainer that reads no variables; Slurm's would requeue jobs as well."""

    def local_rank(self) -> int:
        """0, not ``LOCAL_RANK``."""
        return 0

    def node_rank(self) -> int:
        """0, not ``NODE_RANK`` or ``GROUP_RANK``."""
        return 0
