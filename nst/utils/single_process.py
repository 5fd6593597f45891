"""Makes Lightning ignore the ranks that a cluster gives to processes.

Lightning reads ``RANK``, ``LOCAL_RANK`` or ``SLURM_PROCID`` as the rank of a process among several
that train one model, and only rank 0 logs. Here such processes are independent: each computes its
own runs, and logs them.
"""

from __future__ import annotations

import warnings

from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.rank_zero import rank_zero_only

rank_zero_only.rank = 0  # type: ignore[attr-defined]  # Lightning set it from the environment when it was imported
warnings.filterwarnings("ignore", "The `srun` command is available")  # runs need none


class OneProcess(LightningEnvironment):
    """A cluster environment that reads no variables, and requeues no job (Slurm's would)."""

    def local_rank(self) -> int:
        """0, not ``LOCAL_RANK``."""
        return 0

    def node_rank(self) -> int:
        """0, not ``NODE_RANK`` or ``GROUP_RANK``."""
        return 0
