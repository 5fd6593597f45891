"""Defers imports that Lightning needs a name or two of, and that take most of its start.

Lightning imports PyTorch's compiler for ``isinstance``, and torchmetrics, which imports Matplotlib
for annotations. They are imported when something else of them is used, and then work as before.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


class _Light(ModuleType):
    """A module before its code has run, which the first name without a stand-in begins."""

    def __getattr__(self, name: str) -> Any:
        stand_ins = _STAND_INS[self.__name__]
        if name in stand_ins:
            return stand_ins[name]()
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_loaded(self), name)


class _Deferring(MetaPathFinder, Loader):
    """Finds the modules of ``_STAND_INS``, and makes light ones of them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's own spec, with this loader; None for any other module."""
        parent = fullname.rpartition(".")[0]
        if parent.startswith("torch._") and parent in _STAND_INS and fullname not in _ALONE:
            _loaded(sys.modules[parent])  # the compiler's modules rely on it
        spec = PathFinder.find_spec(fullname, path) if fullname in _STAND_INS else None
        if spec is not None:
            spec.loader_state = spec.loader
            spec.loader = self
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """A module as usual."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Runs none of its code."""
        module.__class__ = _Light
        module._logger = logging.getLogger(module.__name__)  # type: ignore[attr-defined]  # of torchmetrics' modules


class _StandIn(type):
    """A class in place of one that nothing can be an instance of before it is imported."""

    real: tuple[str, str]

    def __instancecheck__(cls, instance: Any) -> bool:
        module, name = cls.real
        return module in sys.modules and isinstance(instance, getattr(sys.modules[module], name))


def defer_imports() -> None:
    """Defers what is in ``_STAND_INS`` and has not been imported yet."""
    if not any(isinstance(finder, _Deferring) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Deferring())


def _loaded(module: ModuleType) -> ModuleType:
    """The module after its own code has run."""
    if isinstance(module, _Light):
        spec = module.__spec__
        assert spec is not None
        module.__class__ = ModuleType  # type: ignore[assignment]
        spec.loader = module.__loader__ = spec.loader_state
        assert spec.loader is not None
        spec.loader.exec_module(module)
    return module


def _from(module: str, name: str) -> Callable[[], Any]:
    """A name that another module has."""

    def get() -> Any:
        if name != "__version__":
            import_module("torchmetrics.utilities")  # before the classes, or imports are circular
        return getattr(import_module(module), name)

    return get


def _class(module: str, name: str) -> Callable[[], Any]:
    """A class for ``isinstance``, of a module that is imported later or never."""
    found = _StandIn(name, (), {"real": (module, name)})
    return lambda: found


def _plot(*given: Any, **named: Any) -> Any:
    return _loaded(sys.modules["torchmetrics.utilities.plot"]).plot_single_or_multi_val(
        *given, **named
    )


def _disable(function: Callable[..., Any], *given: Any, **named: Any) -> Callable[..., Any]:
    """``torch._dynamo.disable``: as long as nothing is compiled, there is nothing to disable."""
    disabled: list[Callable[..., Any]] = []

    def call(*arguments: Any, **keywords: Any) -> Any:
        if not disabled:
            dynamo = sys.modules["torch._dynamo"]
            if isinstance(dynamo, _Light):
                return function(*arguments, **keywords)
            disabled.append(dynamo.disable(function, *given, **named))
        return disabled[0](*arguments, **keywords)

    return call


def _graph_break() -> None:
    """``torch._dynamo.graph_break`` where nothing is compiled."""


_STAND_INS: Mapping[str, Mapping[str, Callable[[], Any]]] = {
    "torchmetrics": {
        "__version__": _from("torchmetrics.__about__", "__version__"),
        "Metric": _from("torchmetrics.metric", "Metric"),
        "MetricCollection": _from("torchmetrics.collections", "MetricCollection"),
    },
    "torchmetrics.utilities.plot": {
        "_AX_TYPE": _class("matplotlib.axes", "Axes"),
        "_PLOT_OUT_TYPE": lambda: tuple,
        "plot_single_or_multi_val": lambda: _plot,
    },
    "torch._dynamo": {
        "OptimizedModule": _class("torch._dynamo.eval_frame", "OptimizedModule"),
        "disable": lambda: _disable,
        "graph_break": lambda: _graph_break,
    },
    "torch._inductor": {},
}
"""What is taken of each deferred module before anything of it is used."""

_ALONE = ("torch._inductor.config", "torch._inductor.custom_graph_pass")
"""What ``torch.use_deterministic_algorithms`` imports, and needs nothing else of the compiler."""
