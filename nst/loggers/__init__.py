"""Trackers as Lightning loggers that take pictures: each module needs its tracker's package."""

from __future__ import annotations

from importlib.util import find_spec

from nst.utils import single_process  # noqa: F401  before any logger asks which process this is


def require(package: str) -> None:
    """Refuses a tracker whose package is missing, with the command that brings it.

    Raises:
        ModuleNotFoundError: in one line.
    """
    if find_spec(package) is None:
        told = f"needs the package {package}: pip install 'nst[{package}]'"
        raise ModuleNotFoundError(told, name=package)
