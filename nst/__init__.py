"""Neural style transfer as tracked, sweepable experiments."""

import ctypes
import os
from contextlib import suppress

__version__ = "0.1.0"

# Intel's matrix multiplication otherwise picks its code by memory alignment and load, and the same
# run gives two pictures (seen where features shrink to one pixel). Read when the library is first
# used, so it must be set before torch is. Costs nothing that could be measured.
os.environ.setdefault("MKL_CBWR", "AUTO")


def _keep_freed_memory() -> None:
    """Has glibc reuse freed memory of up to 32 MB a piece, where it would give it back at once.

    Each step frees and asks for the same tensors. Pages that come anew from the system are cleared
    first: 40,000 of them a step at 256 px, a tenth of the step.
    """
    with suppress(AttributeError, OSError, TypeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD, its largest value
        mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD


_keep_freed_memory()
