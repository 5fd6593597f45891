"""Runs and sweeps, computed in this process as the command computes them."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from nst.api.arguments import words
from nst.api.compositions import composed
from nst.api.errors import errors_in_one_line
from nst.api.result import Run
from nst.api.selection import Runs
from nst.config.messages import one_line
from nst.runner.signals import second_signal_raises
from nst.sweeps.jobs import Jobs
from nst.sweeps.launch import launch
from nst.sweeps.sweep import Sweep
from nst.sweeps.sweep_folder import UNSUCCESSFUL, outcomes
from nst.utils.errors import NstError

QUIET = ("hydra/job_logging=none", "hydra/hydra_logging=none")
"""Hydra would configure the logging of the whole process."""


@errors_in_one_line
def run(*overrides: str, **keys: Any) -> Run:
    """Computes a run, or finds it finished: the same folder as the command makes.

    Args:
        *overrides: as on the command line, such as ``"weights.style=1e6"``.
        **keys: values by key, after ``overrides``. A mapping has the keys of a group:
            ``image={"size": 128}``. A picture (``content``, ``style``, ``init={"path": ...}``) may
            be a path, a built-in one's name, a PIL image, an array or a tensor with the axes
            (H, W), (H, W, C) or (C, H, W), integers from 0 to 255 or other numbers from 0 to 1.

    Raises:
        NstError: with the line that the command prints: for wrong input before anything is
            computed, and for a run that fails or diverges.
        KeyboardInterrupt: at an interrupt; the same call resumes the run.

    Example:
        >>> nst.run(content="photo.jpg", style="painting.jpg", init="noise").image
    """
    with composed(words(overrides, keys)) as config:
        job = Jobs().prepare(config)
    if job.refusal is not None:
        raise _raised(job.refusal.error)
    from nst.runner.execute import compute  # seconds to import: a wrong config is reported before

    assert job.run is not None
    with second_signal_raises():
        outcome = compute([job.run])[0]
    if outcome.error is not None:
        raise _raised(outcome.error)
    assert outcome.folder is not None
    return Run(outcome.folder)


@errors_in_one_line
def sweep(*overrides: str, **keys: Any) -> Runs:
    """Computes every combination of values, as ``nst -m`` does.

    Args:
        *overrides: as on the command line, such as ``"seed=0,1,2"`` or ``"+experiments=weights"``.
        **keys: as of ``run``; a list has the values to sweep over: ``init=["noise", "content"]``.
            A value that is a list itself is a list in it: ``layers={"style": [["conv1_1"]]}``.

    Returns:
        The runs that have a folder, in the order of the jobs.

    Raises:
        NstError: with the line that the command prints, if no job ended well. If some did, the
            others are a warning.
        KeyboardInterrupt: at an interrupt; the same call resumes the sweep.

    Example:
        >>> nst.sweep(content="photo.jpg", init=["noise", "content"]).grid(columns="init")
    """
    swept = Sweep()
    typed = words(overrides, keys, swept=True)
    with second_signal_raises(), _without_folders():
        try:
            launch(["-m", *typed, *QUIET], swept)
        finally:
            swept.summarise()
    assert swept.folder is not None
    ended = outcomes(swept.folder)
    folders = dict.fromkeys(each.folder for each in ended if each.folder is not None)
    lost = [f"job {each.number}: {each.why}" for each in ended if each.outcome in UNSUCCESSFUL]
    if len(lost) == len(ended):
        raise NstError(ended[0].why if ended else "no job was launched")
    for each in lost:
        warnings.warn(each, stacklevel=3)
    return Runs(Run(folder) for folder in folders)


def _raised(error: Exception | None) -> NstError:
    """An error as the command reports it."""
    assert error is not None
    if isinstance(error, NstError):
        return error
    found = NstError(one_line(error))
    found.__cause__ = error
    return found


@contextmanager
def _without_folders() -> Iterator[None]:
    """Hides standard output: the folders there are for shells."""
    with redirect_stdout(io.StringIO()):
        yield
