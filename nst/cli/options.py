"""Options that several commands of ``nst-report`` have."""

from __future__ import annotations

import argparse


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """Adds ``--outputs``."""
    parser.add_argument("--outputs", default="outputs", help="root folder of the runs (outputs)")
