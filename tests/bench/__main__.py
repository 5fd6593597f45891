"""All that is measured in this machine's own seconds: ``make bench``, see docs/bench.md.

``python -m tests.bench [PART …] [--pictures CONTENT STYLE]`` measures these parts, or all but the
report, one after the other, puts their rows into ``outputs/bench.json`` and prints the table of all
that is there.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

import torch

from tests.bench import batch, losses, many, memory, pastiche, search, step, time_to_loss
from tests.bench.loop import THREADS, tell
from tests.bench.rows import RESULTS, Row, merge, read, table


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser("tests.bench", description="Measures nst on this machine.")
    parser.add_argument("parts", nargs="*", metavar="PART", help="step, pastiche, time, …")
    parser.add_argument(
        "--pictures",
        nargs=2,
        action="append",
        metavar=("CONTENT", "STYLE"),
        help="for the part time, instead of built-in ones; may be given several times",
    )
    options = parser.parse_args()
    pictures = options.pictures or time_to_loss.PICTURES
    parts: dict[str, Callable[[], list[Row]]] = {
        "step": step.measure,
        "pastiche": pastiche.measure,
        "time": lambda: time_to_loss.measure(pictures),
        "losses": losses.measure,
        "batch": batch.measure,
        "search": search.measure,
        "many": many.measure,
        "memory": memory.measure,
    }
    wrong = [name for name in options.parts if name not in parts]
    if wrong:
        parser.error(f"no such part: {wrong[0]}; allowed: {', '.join(parts)}")
    torch.set_num_threads(THREADS)
    os.environ["WANDB_MODE"] = "offline"  # whoever is logged in
    for name in options.parts or parts:
        tell(f"part {name}")
        merge(name, parts[name]())
    print(table(read()))
    print(RESULTS)


if __name__ == "__main__":
    main()
