"""Copies the documentation to where the site is built from, with generated parts and a nav."""

from __future__ import annotations

import json
import os
import re
import shutil
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from docs.site import api, keys, losses, metrics

ROOT = Path(__file__).parents[2]
INDEX = "README.md"
"""The first page. Each of its sections with a table of pages is a section of the nav."""

GENERATED: Mapping[str, Callable[[], str]] = {
    "api": api.page,
    "keys": keys.page,
    "losses": losses.page,
    "metrics": metrics.page,
}
"""What the site has in the place of all between ``<!-- site: NAME -->`` and ``<!-- end -->``."""

_MARKER = re.compile(r"<!-- site: (\w+) -->.*?<!-- end -->", re.DOTALL)
_LINK = re.compile(r"\[([^\]\n]+)\]\((\w+\.md)\)")
_OUTWARD = re.compile(r"\]\(\.\./([^)#\s]*)((?:#[^)\s]*)?)\)")


def stage(folder: Path) -> Path:
    """Writes what the site is built from.

    Args:
        folder: gets ``docs/`` anew and ``zensical.toml``; the builder adds ``site/``.

    Returns:
        The config for the builder.

    Raises:
        ValueError: if a page is in no section of the index, or links to a file that is not there.
    """
    config = named((ROOT / "zensical.toml").read_text("utf-8"))
    repository = tomllib.loads(config)["project"]["extra"]["social"][0]["link"]
    pages = folder / "docs"
    shutil.rmtree(pages, ignore_errors=True)
    pages.mkdir(parents=True)
    for source in sorted((ROOT / "docs").iterdir()):
        if source.suffix == ".md":
            text = _MARKER.sub(lambda found: GENERATED[found[1]](), source.read_text("utf-8"))
            (pages / source.name).write_text(outward(text, repository), "utf-8")
        elif source.is_file() and source.suffix != ".py":
            shutil.copy(source, pages)
    shutil.copy(Path(__file__).with_name("site.css"), pages)
    sections = nav((ROOT / "docs" / INDEX).read_text("utf-8"))
    missing = {page.name for page in pages.glob("*.md")} - {
        page for section in sections.values() for page in section.values()
    }
    if missing - {INDEX}:
        raise ValueError(f"docs/{INDEX} has no table with {', '.join(sorted(missing - {INDEX}))}")
    target = folder / "zensical.toml"
    target.write_text(config.replace("[project]\n", f"[project]\n{_toml(sections)}\n", 1), "utf-8")
    return target


def named(config: str) -> str:
    """The config with the name of the repository, if the environment is a workflow of GitHub's."""
    owner, name = os.environ.get("GITHUB_REPOSITORY", "OWNER/REPOSITORY").split("/")
    return config.replace("OWNER", owner).replace("REPOSITORY", name)


def nav(index: str) -> dict[str, dict[str, str]]:
    """The sections of the nav, each with the pages that its tables link to by their title.

    Only the first column of a table counts: descriptions may link to other pages.
    """
    found: dict[str, dict[str, str]] = {}
    for section in re.split(r"(?m)^## ", index)[1:]:
        title, _, body = section.partition("\n")
        rows = [line.split("|")[1] for line in body.splitlines() if line.startswith("|")]
        if pages := {page: name for row in rows for page, name in _LINK.findall(row)}:
            found[title.strip()] = pages
    return found


def outward(text: str, repository: str) -> str:
    """A page whose links to files outside ``docs/`` lead to the repository.

    Raises:
        ValueError: for a link to a file that is not there.
    """

    def link(found: re.Match[str]) -> str:
        path, anchor = found.groups()
        if not (ROOT / path).exists():
            raise ValueError(f"a page links to ../{path}, which does not exist")
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"]({repository}/{kind}/HEAD/{path}{anchor})"

    return _OUTWARD.sub(link, text)


def _toml(sections: Mapping[str, Mapping[str, str]]) -> str:
    """The nav as a line of TOML, whose strings are those of JSON."""

    def entry(title: str, value: str) -> str:
        return f"{{ {json.dumps(title)} = {value} }}"

    entries = [entry("Home", json.dumps(INDEX))]
    for title, pages in sections.items():
        inner = ", ".join(entry(name, json.dumps(page)) for name, page in pages.items())
        entries.append(entry(title, f"[{inner}]"))
    return f"nav = [{', '.join(entries)}]"
