"""Trackers as Lightning loggers with pictures. Each module needs its tracker's package."""

from nst.utils import single_process  # noqa: F401  before any logger reads the process's rank
