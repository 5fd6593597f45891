"""The folder of the studies. Needs no Optuna."""

from __future__ import annotations

from pathlib import Path

FOLDER = "studies"
"""Its name in the output folder. It has a file for each study, ``NAME.db``."""


def names(outputs: Path) -> list[str]:
    """The studies of an output folder."""
    return sorted(path.stem for path in (outputs / FOLDER).glob("*.db"))
