"""The two kinds of failure a user can meet, each told in one line."""

from __future__ import annotations

from collections.abc import Iterable
from signal import Signals


class NstError(Exception):
    """A run could not be finished. Exit status 1."""

    exit_status = 1


class DivergedError(NstError):
    """The objective of a run stopped being finite."""


class Interrupted(KeyboardInterrupt):
    """A signal ended the run; it can be gone on with.

    Args:
        signal: which one.
    """

    def __init__(self, signal: Signals) -> None:
        super().__init__(f"{signal.name}: stopped; the same command goes on")
        self.exit_status = 128 + signal


class ConfigError(NstError):
    """What was asked for is not possible; found before anything was computed. Exit status 2.

    Args:
        key: dotted config key, such as ``layers.style``.
        value: what it was set to.
        problem: what is wrong with it, and what is allowed instead.
    """

    exit_status = 2

    def __init__(self, key: str, value: object, problem: str) -> None:
        super().__init__(f"{key}={_shown(value)}: {problem}")
        self.key = key


def _shown(value: object) -> str:
    """A value as one would type it on the command line, kept to one line."""
    if isinstance(value, list | tuple):
        return "[" + ",".join(_shown(item) for item in value) + "]"
    if value is None:
        return "null"
    # repr, without its quotes: a newline in a file name must not start a second line
    return repr(value)[1:-1] if isinstance(value, str) else str(value)


def listed(allowed: Iterable[object]) -> str:
    """``a, b, c`` for the "allowed" part of a message."""
    return ", ".join(str(item) for item in allowed)
