"""This process, as another would stop it."""

from __future__ import annotations

import signal
import threading


def terminate() -> None:
    """Stops this process as SIGTERM from another process would, from any thread.

    The handler runs in the main thread. ``os.kill`` would end the process without it on Windows.
    """
    if hasattr(signal, "pthread_kill"):
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGTERM)  # interrupts what the main thread waits for
    else:
        signal.raise_signal(signal.SIGTERM)
