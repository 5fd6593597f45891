"""What keeps trouble with a tracker away from the run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)


class Unharmed:
    """Calls a tracker until it fails once; then says so in a line, and leaves it alone.

    Args:
        tracker: its name, for the line.

    Attributes:
        broken: whether it failed.
    """

    def __init__(self, tracker: str) -> None:
        self.tracker = tracker
        self.broken = False

    def __call__(self, tell: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """Calls ``tell`` with these arguments; raises nothing that it raises."""
        if self.broken:
            return
        try:
            tell(*args, **kwargs)
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            if not self.broken:  # else a call within this one has said it
                told = "logging to %s is disabled for the rest of this run: %s"
                log.warning(told, self.tracker, reason)
            self.broken = True
