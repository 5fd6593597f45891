"""What glibc does with freed memory. Imports no other module of nst: it is set first of all."""

from __future__ import annotations

import ctypes
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Makes glibc reuse freed blocks of up to 32 MB instead of returning them to the system.

    Each step frees and allocates the same tensors. The system clears each page that it hands out:
    40,000 pages per step at 256 px, a tenth of the step's time.
    """
    _call("mallopt", M_MMAP_THRESHOLD, 32 << 20)  # its largest value
    _call("mallopt", M_TRIM_THRESHOLD, 1 << 30)


def give_back_freed_memory() -> None:
    """Returns freed memory to the system: the next run may need blocks of other sizes."""
    _call("malloc_trim", 0)


def _call(function: str, *arguments: int) -> None:
    """Calls a function of glibc; of another system, nothing."""
    with suppress(AttributeError, OSError, TypeError):
        getattr(ctypes.CDLL(None), function)(*arguments)
