"""Images that leave their batch before the last step."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from nst.transfer.best import BestImage


class Why(Enum):
    """Why an image leaves its batch before the last step."""

    DIVERGED = auto()
    PRUNED = auto()
    REACHED = auto()  # what its run ends at


class Departure(NamedTuple):
    """An image that left the batch before the last step.

    Attributes:
        why: what happened to it.
        reason: a clause that says more.
        best: with the lowest loss at its scale.
    """

    why: Why
    reason: str
    best: BestImage
