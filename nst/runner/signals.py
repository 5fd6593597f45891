"""Ctrl-C and SIGTERM during a run."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

from nst.utils import agent
from nst.utils.errors import Interrupted

STOPPING = (signal.SIGINT, signal.SIGTERM)

SLURM_JOB = "SLURM_JOB_ID"  # set in every allocation

SAME = 1.0
"""Seconds within which a second SIGTERM repeats the first: from the parent, and to the group."""

STDERR = 2  # the file, where sys.stderr may be a progress bar's
_SHOW_CURSOR = b"\x1b[?25h"  # a progress bar may have hidden it


_second_exits = True


@contextmanager
def second_signal_raises() -> Iterator[None]:
    """Inside, a second signal raises ``KeyboardInterrupt`` instead of ending the process.

    For a process that is not ours, such as a notebook's: it has more to lose than one run.
    """
    global _second_exits
    before, _second_exits = _second_exits, False
    try:
        yield
    finally:
        _second_exits = before


class Interrupts:
    """Records the first signal; the second ends the process at once, or raises.

    Attributes:
        received: the first signal; None: there was none yet.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._parent = os.getppid()

    @property
    def by_agent(self) -> bool:
        """Whether the agent of a W&B sweep stops its run."""
        return agent.sent(self.received, self._parent)

    def listen(self) -> None:
        """Replaces the handlers of the signals, in the main thread only.

        Python's handlers run only when the main thread returns from a kernel, for a large picture
        after many seconds, and two signals until then count as one. The wakeup socket gets each
        signal at once, and a thread reads it.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        for number in STOPPING:
            signal.signal(number, self._note)
        if not _second_exits:
            return
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        self._socket = theirs
        # the agent of a W&B sweep and W&B's client both stop a run by SIGTERM
        counted = STOPPING if agent.run_id() is None else (signal.SIGINT,)
        threading.Thread(target=_exit_at_second, args=(ours, counted), daemon=True).start()

    def _note(self, number: int, frame: object) -> None:
        if self.received is not None and not _second_exits:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)

    def close(self) -> None:
        """Stops listening."""
        if hasattr(self, "_socket"):
            signal.set_wakeup_fd(self._wakeup)  # an event loop has one too
            self._socket.close()


def _exit_at_second(numbers: socket.socket, counted: Collection[int]) -> None:
    """Counts these signals until the other end is closed."""
    count, last = 0, -SAME
    with numbers:
        while received := numbers.recv(1):
            now = time.monotonic()
            repeated = received[0] == signal.SIGTERM and now - last < SAME
            if received[0] in counted and not repeated:
                count += 1
            last = now
            if count == 2:
                if os.isatty(STDERR):
                    os.write(STDERR, _SHOW_CURSOR)
                os._exit(128 + received[0])


@contextmanager
def interruptible() -> Iterator[Interrupts]:
    """Restores the handlers of the signals at the end.

    Raises:
        Interrupted: if a signal was received.
    """
    before = {number: signal.getsignal(number) for number in STOPPING}
    interrupts = Interrupts()
    try:
        yield interrupts
    finally:
        interrupts.close()
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)
    if interrupts.received is not None:
        raise Interrupted(interrupts.received)


def terminate(number: int, frame: object) -> None:
    """A handler: a sweep that gets SIGTERM between two runs ends with its table."""
    raise Interrupted(signal.Signals(number))


def wait_for_slurm(error: BaseException | None, parent: int) -> None:
    """Inside a Slurm job, waits after a SIGTERM of Slurm's until Slurm kills this process.

    To preempt a job, Slurm sends SIGTERM, later SIGKILL, and then requeues the job. A job that
    ends between the two is not requeued. Ctrl-C ends the wait.

    Args:
        error: what ended the runs. There is no wait unless it is the ``Interrupted`` of a SIGTERM
            that this process received.
        parent: process id of the parent when the command began. The wait ends with the parent:
            what the job then does no longer depends on this process.
    """
    ours = isinstance(error, Interrupted) and error.here and error.signal == signal.SIGTERM
    if not ours or SLURM_JOB not in os.environ or agent.sent(signal.SIGTERM, parent):
        return
    waits = "nst: waiting until Slurm ends this job, so that Slurm can requeue it"
    print(f"{waits}; SIGTERM or Ctrl-C ends this process now", file=sys.stderr)
    sys.stdout.flush()  # SIGKILL loses what is in the buffers
    sys.stderr.flush()
    with suppress(KeyboardInterrupt):
        while os.getppid() == parent:
            time.sleep(1)
