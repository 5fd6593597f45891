"""Markdown from what code and config files say of themselves."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_CODE = re.compile(r"(`+[^`]+`+)")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells are Markdown on one line; ``site.css`` lays it out."""
    lines = [columns, ["---"] * len(columns), *rows]
    cells = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    text = "\n".join(f"| {' | '.join(line)} |" for line in cells)
    return f'<div class="reference" markdown>\n\n{text}\n\n</div>'


def prose(comment: str) -> str:
    """A comment as Markdown: pages that it names are links, and no character is markup."""
    parts = _CODE.split(comment)
    for place in range(0, len(parts), 2):  # the odd ones are code
        text = html.escape(parts[place], quote=False).replace("*", r"\*").replace("_", r"\_")
        text = text.replace("[", r"\[").replace("]", r"\]")
        parts[place] = re.sub(r"docs/((?:\w|\\_)+)\.md", _page, text)
    return "".join(parts)


def code(text: str) -> str:
    """A code span; nothing for no text."""
    return f"`{text}`" if text else ""


def docstring(thing: Any) -> str:
    """The docstring of a function or a class as Markdown; empty if there is none of its own."""
    own = vars(thing).get("__doc__") if isinstance(thing, type) else thing.__doc__
    if not own or own.startswith(f"{thing.__name__}("):  # what dataclass makes of a class without
        return ""
    return inspect.cleandoc(own)


def directive(name: str, options: Mapping[str, object]) -> str:
    """What mkdocstrings replaces with the docstrings of a module, a class or a function."""
    lines = [f"        {key}: {value}" for key, value in options.items()]
    return "\n".join([f"::: {name}", "    options:", *lines])


def _page(found: re.Match[str]) -> str:
    name = found[1].replace(r"\_", "_")
    return f"[{found[1]}]({name}.md)"
