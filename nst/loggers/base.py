"""The base of our trackers: a Lightning logger that never stops a run and ends once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from importlib.util import find_spec
from typing import Any, ClassVar, TypeVar

from lightning.pytorch.loggers.logger import DummyLogger, Logger

log = logging.getLogger(__name__)

_Method = TypeVar("_Method", bound=Callable[..., None])


def guarded(method: _Method) -> _Method:
    """Decorates a method of a ``SafeLogger``, to be skipped once an error has occurred in any."""

    @wraps(method)
    def call(self: SafeLogger, *args: Any, **kwargs: Any) -> None:
        if self.active:
            with self.guard():
                method(self, *args, **kwargs)

    return call  # type: ignore[return-value]


class SafeLogger(Logger):
    """A mixin that precedes one of Lightning's loggers among the base classes.

    An error of a tracker never stops a run: the first one is logged as a warning, and all later
    calls are ignored.

    Attributes:
        tracker: name for messages.
        active: whether calls have an effect: no error has occurred, and the run has not ended.
    """

    tracker: ClassVar[str]
    active = True
    _finalized = False

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Disables the logger if there is an error inside."""
        try:
            yield
        except Exception as error:
            if self.active:  # else a guarded call within this one has reported it
                reason = " ".join(str(error).split()) or type(error).__name__
                message = "logging to %s is disabled for the rest of this run: %s"
                log.warning(message, self.tracker, reason)
            self.active = False

    @property
    def experiment(self) -> Any:
        """The tracker's own object; if the logger is not active, one that ignores every call."""
        if self.active:
            with self.guard():
                return self._start()
        return DummyLogger().experiment

    def _start(self) -> Any:
        """Returns the tracker's own object, created by the first call."""
        return super().experiment  # type: ignore[misc]  # of Lightning's logger

    @guarded
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Logs the config, nested dicts."""
        super().log_hyperparams(params, *args, **kwargs)  # type: ignore[safe-super]

    @guarded
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Logs each metric under its own name."""
        super().log_metrics(metrics, step)  # type: ignore[safe-super]

    @guarded
    def log_image(
        self, key: str, images: Sequence[Any], step: int | None = None, **kwargs: Any
    ) -> None:
        """Logs pictures; the arguments are those of Lightning's ``WandbLogger``.

        Args:
            key: their name.
            images: paths.
            step: of the run.
            **kwargs: such as ``caption``; ignored where the tracker has no captions.
        """
        for path in images:
            self._log_image(key, path, step or 0)

    def _log_image(self, key: str, path: str, step: int) -> None:
        raise NotImplementedError

    def finalize(self, status: str = "success") -> None:
        """Ends logging. Only the first call counts: the Trainer repeats that of the run.

        Args:
            status: ``success``, ``failed`` or ``aborted``.
        """
        if not self._finalized:
            self._finalized = True
            with self.guard():
                self._close(status)
            self.active = False

    def _close(self, status: str) -> None:
        """Ends what ``_start`` has created, if it was called."""
        super().finalize(status)


def require(package: str) -> None:
    """Checks that a tracker's package is installed.

    Raises:
        ModuleNotFoundError: in one line, with the command that installs it.
    """
    if find_spec(package) is None:
        problem = f"needs the package {package}: pip install 'nst[{package}]'"
        raise ModuleNotFoundError(problem, name=package)
