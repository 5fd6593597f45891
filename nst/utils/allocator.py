"""What glibc does with freed memory. Imports nothing of ours: it is set before all else."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Has glibc reuse freed memory of up to 32 MB a piece, where it would give it back at once.

    Each step frees and asks for the same tensors. Pages that come anew from the system are cleared
    first: 40,000 of them a step at 256 px, a tenth of the step.
    """
    with _glibc() as glibc:
        glibc.mallopt(M_MMAP_THRESHOLD, 32 << 20)  # its largest value
        glibc.mallopt(M_TRIM_THRESHOLD, 1 << 30)


def give_back_freed_memory() -> None:
    """Gives all of it back to the system: the next run may need it in other pieces."""
    with _glibc() as glibc:
        glibc.malloc_trim(0)


@contextmanager
def _glibc() -> Iterator[Any]:
    with suppress(AttributeError, OSError, TypeError):  # another C library has none of this
        yield ctypes.CDLL(None)
