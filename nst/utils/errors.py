"""Errors that end a command with one line and an exit status."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from pathlib import Path
from signal import Signals

from nst.utils.files import shown

RESUME = "run the same command again to resume"


class NstError(Exception):
    """A run failed. Exit status 1."""

    exit_status = 1


class PrunedError(NstError):
    """A guided search stopped a run, since others are better at the same step.

    Exit status 0: only the agent of a W&B sweep prunes a single run, and the agent ends if three
    runs of its first minute have another status.
    """

    exit_status = 0


class DivergedError(NstError):
    """The loss of a run stopped being finite, or exploded."""


class Interrupted(KeyboardInterrupt):
    """A signal ended the run; it can be resumed.

    Args:
        signal: the signal.
        here: whether this process received it; False if the error comes from a worker process.
    """

    def __init__(self, signal: Signals, here: bool = True) -> None:
        super().__init__(f"interrupted by {signal.name}: {RESUME}")
        self.signal = signal
        self.here = here
        self.exit_status = 128 + signal

    def __reduce__(self) -> tuple[type[Interrupted], tuple[Signals, bool]]:
        return Interrupted, (self.signal, False)


class ConfigError(NstError):
    """A value of the config is wrong; raised before anything is computed. Exit status 2.

    Args:
        key: dotted config key, such as ``layers.style``.
        value: its value.
        problem: what is wrong with it, and what is allowed instead.
    """

    exit_status = 2

    def __init__(self, key: str, value: object, problem: str) -> None:
        super().__init__(f"{key}={_shown(value)}: {problem}")
        self.key = key


class ArgumentError(ValueError):
    """An argument of a config's ``_target_`` is wrong; the caller knows the whole config key.

    Args:
        name: of the argument, such as ``project``.
        value: its value.
        problem: what is wrong with it, and what is allowed instead.
    """

    def __init__(self, name: str, value: object, problem: str) -> None:
        super().__init__(f"{name}={_shown(value)}: {problem}")
        self.name, self.value, self.problem = name, value, problem


def _shown(value: object) -> str:
    """A value as it is typed on the command line, in one line."""
    if isinstance(value, list | tuple):
        return "[" + ",".join(_shown(item) for item in value) + "]"
    if value is None:
        return "null"
    return printable(value) if isinstance(value, str) else str(value)


def printable(text: str) -> str:
    """The text with control characters escaped: they could move the cursor or end the line."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def listed(allowed: Iterable[object]) -> str:
    """``a, b, c`` for the "allowed" part of a message."""
    return ", ".join(str(item) for item in allowed)


_ADVICE = {
    errno.ENOSPC: f"free some space and {RESUME}",
    errno.EDQUOT: f"free some space and {RESUME}",
    errno.EROFS: "set outputs to a writable folder",
    errno.EACCES: "set outputs to a writable folder",
}


def reason(error: BaseException) -> str:
    """Why a run or a command ended, in one line, for messages and for ``run.json``."""
    text = " ".join(str(error).split())
    if isinstance(error, NstError | KeyboardInterrupt):
        return text or "stopped"
    if not isinstance(error, Exception):  # a request to stop, such as SystemExit
        return f"stopped by {error!r}"
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        advice = _ADVICE.get(error.errno)
        problem = f"{error.strerror[0].lower()}{error.strerror[1:]}"
        file = f"{_shown(_file(error.filename))}: " if error.filename else ""
        return file + problem + (f"; {advice}" if advice else "")
    if out_of_memory(error):
        size = re.search(r"tried to allocate [\d.]+ \w+", text, re.IGNORECASE)
        tried = f" ({size[0].lower()})" if size else ""
        return f"out of memory{tried}: a smaller image.size or earlier layers need less"
    return f"{type(error).__name__}: {text}"


def _file(name: object) -> str:
    return str(shown(Path(name))) if isinstance(name, str) else str(name)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory was exhausted."""
    # PyTorch has its own type for devices; on a CPU it raises a plain RuntimeError
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or (isinstance(error, RuntimeError) and "t allocate memory" in str(error))
