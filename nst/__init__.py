"""Neural style transfer as tracked, sweepable experiments."""

import os

from nst.utils.allocator import keep_freed_memory
from nst.utils.light_imports import defer_imports

__version__ = "0.1.0"

# Intel's matrix multiplication otherwise picks its code by memory alignment and load, and the same
# run gives two pictures (seen where features shrink to one pixel). Read when the library is first
# used, so it must be set before torch is. Costs nothing that could be measured.
os.environ.setdefault("MKL_CBWR", "AUTO")

keep_freed_memory()
defer_imports()
