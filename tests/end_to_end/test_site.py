"""The site of the documentation, built as ``make docs`` does, and the commands of its tutorial."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from docs.site import api, options, stage
from nst.config.compose import conf_dir
from nst.config.experiment import MEASURES
from nst.config.keys import keys
from nst.losses import gram_matrix
from tests.browser import LOOKS, opened
from tests.documented import ROOT, commands
from tests.helpers import STYLE_LOSSES, nst, nst_report

TINY = {"image.size": "32", "steps": "3", "snapshot_every": "1"}
"""What the tutorial's commands are run with in place of their own values."""


@dataclass
class Html(HTMLParser):
    """What a page links to, the anchors that it has, and its paragraphs."""

    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.append(value)
            elif name in ("id", "name") and value:
                self.anchors.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    if importlib.util.find_spec("zensical") is None:
        reason = "no zensical: pip install 'nst[docs]'"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("docs")
    ended = subprocess.run(
        [sys.executable, "-m", "docs.site", str(folder)],
        cwd=ROOT,
        env={**os.environ, "GITHUB_REPOSITORY": "someone/pictures"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.splitlines()[-1] == str(folder / "site" / "index.html")
    return folder / "site"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Html]:
    found = {}
    for path in site.rglob("*.html"):
        found[path] = Html()
        found[path].feed(path.read_text("utf-8"))
    return found


def test_every_page_of_the_docs_is_on_the_site_and_in_its_nav(site: Path) -> None:
    index = (site / "index.html").read_text("utf-8")
    names = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"README"}
    assert len(names) > 20
    for name in names:
        assert (site / name / "index.html").is_file()
        assert re.search(rf'<a href="\./{name}/" class="md-nav__link', index), name


def test_links_and_anchors_of_the_site_exist(site: Path, pages: dict[Path, Html]) -> None:
    """Also those of generated pages and of docstrings, which the builder does not check."""
    wrong, checked = [], 0
    for page, found in pages.items():
        if page.name == "404.html":  # its links begin at the server's root
            continue
        for link in found.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            target = target / "index.html" if target.is_dir() else target
            known = not parts.fragment or unquote(parts.fragment) in pages[target].anchors
            checked += 1
            if not target.is_file() or not known:
                wrong.append(f"{page.relative_to(site)}: {link}")
    assert wrong == []
    assert checked > 1000


def test_links_to_files_outside_the_docs_lead_to_the_repository(pages: dict[Path, Html]) -> None:
    base = "https://github.com/someone/pictures/blob/HEAD/"
    found = {link.removeprefix(base) for page in pages.values() for link in page.links}
    assert "conf/style_loss/gram.yaml" in found
    assert "OWNER" not in " ".join(found)


def test_a_link_to_a_file_that_is_missing_is_refused() -> None:
    with pytest.raises(ValueError, match="conf/nothing"):
        stage.outward("[one](../conf/nothing.yaml)", "https://example.com")
    text = stage.outward("[one](../conf/config.yaml#L1) [all](../conf)", "https://example.com")
    assert "(https://example.com/blob/HEAD/conf/config.yaml#L1)" in text
    assert "(https://example.com/tree/HEAD/conf)" in text


def test_pages_read_as_on_github(site: Path, pages: dict[Path, Html]) -> None:
    """Lists and tables that need an empty line before them here would be text."""
    for path in pages:
        for text in re.findall(r"<p>(.*?)</p>", path.read_text("utf-8"), re.DOTALL):
            assert not re.search(r"^(- |\* |1\. |\|)", text, re.MULTILINE), f"{path}: {text[:200]}"


def test_the_reference_has_every_key_option_loss_and_metric(site: Path) -> None:
    text = (site / "keys" / "index.html").read_text("utf-8")
    for name in keys():
        assert f"<code>{name}</code>" in text, name
    for group, files in options.groups().items():
        for each in files:
            assert f"conf/{group}/{each.name}.yaml" in text
    losses = (site / "loss_reference" / "index.html").read_text("utf-8")
    for name in STYLE_LOSSES:
        assert f"<code>style_loss={name}</code>" in losses
    assert "strong channels outweigh weak ones" in losses  # the docstring of Gram
    metrics = (site / "metrics" / "index.html").read_text("utf-8")
    for name in MEASURES:
        assert f"<code>{name}</code>" in metrics


def test_keys_have_the_comments_and_limits_of_the_code(site: Path) -> None:
    text = (site / "keys" / "index.html").read_text("utf-8")
    rows = {}
    for row in re.findall(r"<tr>(.*?)</tr>", text, re.DOTALL):
        cells = [re.sub(r"<[^>]+>", " ", cell).split() for cell in row.split("</td>")]
        rows[" ".join(cells[0])] = [" ".join(cell) for cell in cells[1:]]
    assert rows["image.size"][0] == "256"
    assert "shorter side of the result, px whole number from 1 to 10000" in rows["image.size"][1]
    assert rows["image.size"][2] == "result"
    assert rows["init.kind"][2] == "result (own)"
    assert rows["snapshot_every"][2] == "batch"
    assert rows["retry"][1].endswith("failed, null")
    assert "positions of the style, at most" in rows["style_loss.samples"][1]


def test_option_files_are_read_as_yaml_reads_them() -> None:
    """The keys that comments are found for, and their values."""
    for files in options.groups().values():
        for each in files:
            found = yaml.safe_load(Path(conf_dir(), each.path).read_text("utf-8")) or {}
            for name, line in each.keys.items():
                value = found
                for part in _parts(name, found):
                    value = value[part]
                if line.value:
                    assert yaml.safe_load(line.value) == value or "*" in line.value


def _parts(name: str, found: dict[str, object]) -> Iterator[str]:
    """The keys that a dotted name goes through; a key of a file may have dots itself."""
    while name:
        part = max((key for key in found if name == key or name.startswith(f"{key}.")), key=len)
        yield part
        name = name[len(part) + 1 :]
        inner = found[part]
        found = inner if isinstance(inner, dict) else {}


def test_the_api_is_what_the_package_exports() -> None:
    package = ModuleType("nst")
    package.__all__ = ["__version__", "runs"]  # type: ignore[attr-defined]
    package.__version__ = "1"  # type: ignore[attr-defined]
    package.runs = gram_matrix  # type: ignore[attr-defined]
    text = api.page(package)
    assert "::: nst.losses.gram.gram_matrix" in text
    assert "heading: nst.runs" in text
    assert text.count(":::") == 2


class Quiet(SimpleHTTPRequestHandler):
    """A server that prints nothing."""

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Of the site on this machine: its search needs a server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_search_finds_a_key_and_nothing_is_asked_of_other_servers(
    site: Path, address: str, width: int, dark: bool
) -> None:
    with opened(site / "404.html", width, dark=dark) as (page, seen):
        page.goto(address)
        seen.requests.clear()
        seen.problems.clear()
        for name in ("keys/", "metrics/", ""):
            page.goto(address + name)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        field = page.locator("input:focus")
        while not field.count():  # the page listens only when its scripts have been loaded
            page.keyboard.press("/")
            page.wait_for_timeout(300)
        field.fill("checkpoint_seconds")
        # what was found; the navigation has a link of the same name, without the query
        found = page.locator("a[href*='?h=checkpoint_seconds']", has_text="Config keys").first
        found.wait_for()
        assert seen.problems == []  # later Chromium notes that it focuses no field of its own
        found.click()
        page.wait_for_function("location.search === '?h=checkpoint_seconds'")
        assert urlsplit(page.url).path == "/keys/"
    assert {urlsplit(each).netloc for each in seen.requests} == {urlsplit(address).netloc}


def test_the_tutorial_works_as_written(tmp_path: Path) -> None:
    """Its commands in order, but for the installation and the reader's own pictures, at 32 px."""
    ran = []
    for command in commands(ROOT / "docs" / "tutorial.md"):
        if command.program not in ("nst", "nst-report") or "content.path=PHOTO" in command.words:
            continue
        run = nst if command.program == "nst" else nst_report
        ended = run(*map(_tiny, command.arguments), cwd=tmp_path, WANDB_MODE="disabled")
        assert ended.returncode == 0, f"{command}\n{ended.stderr}"
        ran.append(command.program)
    assert ran == ["nst", "nst", "nst-report", "nst", "nst-report"]
    runs = list(tmp_path.glob("outputs/runs/*/final.png"))
    assert len(runs) == 8  # at equal sizes the first is one of the sweep's
    assert (tmp_path / "outputs/compare/index.html").is_file()
    assert "noise_or_content" in (tmp_path / "outputs/report/report.md").read_text("utf-8")


def _tiny(argument: str) -> str:
    key, equals, _ = argument.partition("=")
    return f"{key}={TINY[key]}" if equals and key in TINY else argument
