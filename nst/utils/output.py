"""Where the output of this process goes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STREAMS = (1, 2)  # files: libraries may keep the objects sys.stdout and sys.stderr


@contextmanager
def output_to(path: Path) -> Iterator[None]:
    """Appends what this process writes on stdout and stderr to a file instead."""
    before = [os.dup(stream) for stream in _STREAMS]
    try:
        with path.open("ab") as file:
            _redirect([file.fileno()] * len(_STREAMS))
        yield
    finally:
        _redirect(before)
        for each in before:
            os.close(each)


def _redirect(targets: list[int]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    for target, stream in zip(targets, _STREAMS, strict=True):
        os.dup2(target, stream)
