"""Imports less of torchmetrics: Lightning needs two of its classes, and seconds for the rest."""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

_LIGHT = {
    "__version__": "torchmetrics.__about__",
    "Metric": "torchmetrics.metric",
    "MetricCollection": "torchmetrics.collections",
}
"""What Lightning takes from the package, and where it is."""


class _Light(ModuleType):
    """The package before its ``__init__`` has run, which the first other name begins."""

    def __getattr__(self, name: str) -> Any:
        if name in _LIGHT:
            if name != "__version__":
                import_module(
                    "torchmetrics.utilities"
                )  # before the classes, or imports are circular
            return getattr(import_module(_LIGHT[name]), name)
        if name.startswith("__"):
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        assert self.__spec__ is not None
        assert self.__spec__.loader is not None
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def defer_torchmetrics() -> None:
    """Defers most of torchmetrics until something of it is used.

    Its ``__init__`` imports all of its metrics, and with them torchvision, SciPy's signals and
    PyTorch's compiler. Everything in it works as before; the first use imports the rest.
    """
    name = "torchmetrics"
    spec = None if name in sys.modules else find_spec(name)
    if spec is not None:
        module = module_from_spec(spec)
        module.__class__ = _Light
        module._logger = logging.getLogger(name)  # type: ignore[attr-defined]  # of its submodules
        sys.modules[name] = module
