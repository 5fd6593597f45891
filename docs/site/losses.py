"""The reference of losses: each option of their groups with its parameters and its docstring."""

from __future__ import annotations

from docs.site import keys
from docs.site.options import OptionFile, groups
from docs.site.text import code, directive, prose

TERMS = ("nst.losses.total_variation", "nst.losses.spectrum_distance")
"""Terms of the objective that are no options but have a weight."""


def page() -> str:
    """The sections of the page."""
    found = groups()
    parts = []
    for group in keys.LOSSES:
        parts.append(keys.section(group, found[group]))
        parts += [_option(group, each) for each in found[group]]
    parts += ["## Other terms", *(directive(name, {"heading_level": 3}) for name in TERMS)]
    interface = {"heading_level": 3, "show_root_heading": "false", "show_root_toc_entry": "false"}
    parts += ["## The interface", directive("nst.losses.Loss", interface)]
    return "\n\n".join(parts)


def _option(group: str, option: OptionFile) -> str:
    heading = {"show_root_heading": "false", "show_root_toc_entry": "false", "members": "false"}
    body = directive(option.target, heading) if option.target else prose(option.about)
    return f"### {code(f'{group}={option.name}')}\n\n{body}"
