"""Locks between processes, of one machine or of several that share a file system.

The lock is a file with the host, the process and a token; a thread renews it. It is no flock: many
network file systems do not have it, or have it within a machine only. The file of a process that
has ended is removed at once on its own machine. Other machines wait until it was not renewed for
``LEASE`` seconds, by their own clocks. If its process was only suspended, two processes then
compute the same run, which costs time and gives the same files.
"""

from __future__ import annotations

import logging
from pathlib import Path

from filelock import LeaseCompromise, SoftFileLease

log = logging.getLogger(__name__)

LEASE = 60.0
"""Seconds without a renewal after which another machine takes over. The same for all processes."""


def lock(path: Path) -> SoftFileLease:
    """A lock that is not held yet; it may be acquired again by the same process.

    Args:
        path: of its file, in a folder that exists.
    """
    return SoftFileLease(path, lease_duration=LEASE, thread_local=False, on_compromise=_lost)


def _lost(loss: LeaseCompromise) -> None:
    log.warning("another process took over %s: this one was suspended too long", loss.lock_file)
