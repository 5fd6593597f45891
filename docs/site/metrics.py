"""The reference of metrics: their definitions, and the functions that compute them."""

from __future__ import annotations

import pkgutil

import nst.metrics
from docs.site.text import code, directive, prose, table
from nst.config.experiment import MEASURES, VOTED, Measure


def page() -> str:
    """The sections of the page."""
    rows = [
        [code(name), each.better, _definition(each)] for name, each in (MEASURES | VOTED).items()
    ]
    parts = [table(["name", "better", "definition"], rows), "## How they are computed"]
    for module in pkgutil.iter_modules(nst.metrics.__path__):
        options = {"heading_level": 3, "filters": '["!^_", "!^[A-Z_]+$"]'}  # no constants
        parts.append(directive(f"nst.metrics.{module.name}", options))
    return "\n\n".join(parts)


def _definition(measure: Measure) -> str:
    unit = f", {measure.unit}" if measure.unit else ""
    against = f", against {' and '.join(measure.against)}" if measure.against else ""
    settings = " and ".join(
        code(key if value is True else f"{key}={value}")
        for key, value in measure.optimised_by.items()
    )
    minimised = f" Minimised with {settings}." if settings else ""
    return f"*{measure.title}{unit}{against}.* {prose(measure.about)}{minimised}"
