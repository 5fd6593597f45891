"""The agent of a W&B sweep, if one started this process."""

from __future__ import annotations

import os
import signal


def run_id() -> str | None:
    """Id of the W&B run that the agent gave this process; None if no agent started it."""
    return os.environ.get("WANDB_RUN_ID") if os.environ.get("WANDB_SWEEP_ID") else None


def sent(received: signal.Signals | None, parent: int) -> bool:
    """Whether a signal is the agent's, which stops its run by SIGTERM.

    The reason is Hyperband, or a button in W&B. An agent that has ended did not send it: the
    machine may be preempted.

    Args:
        received: the signal; None: there was none.
        parent: process id of the parent when the command or the run began.
    """
    return received == signal.SIGTERM and run_id() is not None and os.getppid() == parent
