"""The reference of the Python API: what ``import nst`` offers."""

from __future__ import annotations

import inspect
from types import ModuleType

import nst
from docs.site.text import directive


def page(package: ModuleType = nst) -> str:
    """The sections of the page: each name of the package's ``__all__``.

    A directive for the package itself would miss a function that has the name of a subpackage.
    """
    parts = [directive(package.__name__, {"members": "false", "show_root_heading": "false"})]
    for name in getattr(package, "__all__", ()):
        thing = getattr(package, name)
        if isinstance(thing, ModuleType):
            parts.append(directive(thing.__name__, {}))
        elif inspect.isclass(thing) or inspect.isroutine(thing):
            heading = {"heading": f"{package.__name__}.{name}", "toc_label": name}
            parts.append(directive(f"{thing.__module__}.{thing.__qualname__}", heading))
    return "\n\n".join(parts)
