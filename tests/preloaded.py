"""What the fork server of ``tests.commands`` has before it forks: imports and pure caches.

Each command of a test would otherwise spend seconds on what is the same for all of them: importing,
drawing the default pictures, reading the weights and preparing the convolutions. W&B is not
imported: its client would give all processes one folder for its files.
"""

from __future__ import annotations

import skimage.metrics  # noqa: F401
import torch
import torch._dynamo

import nst.cli.main
import nst.compare.comparison
import nst.reports.page
import nst.sweeps.summary_table
import nst.sweeps.vectorized.planner  # noqa: F401
from nst.runner.networks import networks
from tests.helpers import prepared


def warm() -> None:
    """Fill the caches that a run of the default config fills."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a pool of threads does not survive a fork
    run = prepared("logger=none")
    with networks(run, run.taps, [run.resolved.precision]):
        pass
    torch.set_num_threads(threads)


warm()
