"""Makes the golden run folders anew: ``python -m tests.golden_runs [CASE]...``."""

import os
import sys

if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"  # as in tests; before torch is imported
    from tests.golden_runs import main

    main(sys.argv[1:])
