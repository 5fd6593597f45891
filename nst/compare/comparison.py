"""The comparison page: ``OUTPUTS/compare/index.html`` with its data beside it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs
from rich.console import Console

from nst.compare import studies
from nst.compare.data import data
from nst.compare.run_cache import RunCache
from nst.compare.select import PAGE, NoRunsError, entries, select, sweep_named
from nst.reports.page import PLOTLY, environment
from nst.runner import votes
from nst.sweeps.part_progress import Display
from nst.sweeps.search.folder import FOLDER
from nst.utils.errors import NstError
from nst.utils.files import write_whole

DATA = "runs.js"
VOTES = "votes.js"
SCRIPTS = Path(__file__).parent / "templates" / "scripts"
REFRESH = 3.0
"""Seconds between looks at the runs while watching."""


def build(outputs: Path, words: Sequence[str] = (), live: bool = False) -> Path:
    """Makes ``OUTPUTS/compare`` from the run folders in ``OUTPUTS/runs``.

    Args:
        outputs: root folder.
        words: which runs, see ``nst.compare.filter``; none: all.
        live: whether the page looks for newer data by itself.

    Returns:
        The page.

    Raises:
        ConfigError: if a word names a key that no run has, or a study that does not exist.
        NstError: if no run matches, or the page cannot be written.
    """
    folder = outputs / PAGE
    cache = RunCache(folder)
    found = entries(outputs, cache)
    study = studies.selected(outputs, words, {name for entry in found for name in entry.trials})
    chosen = select(found, words)
    if study:
        chosen.sort(key=lambda entry: entry.trials.get(study.name, []))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        details = cache.details([entry.folder for entry in chosen])
        shown = data(chosen, details, study, REFRESH if live else None)
        if not (folder / PLOTLY).exists():
            write_whole(folder / PLOTLY, get_plotlyjs().encode())
        write_whole(folder / DATA, f"nstRuns({script(shown)});\n".encode())
        write_whole(folder / VOTES, votes_script(outputs).encode())
        template = environment("nst.compare").get_template("compare.html.jinja")
        page = template.render(
            embedded=None, plotly=PLOTLY, scripts=[DATA, VOTES], imports=import_map()
        )
        write_whole(folder / "index.html", page.encode())
        cache.save()
    except OSError as error:
        raise NstError(f"the page cannot be written: {error}") from error
    return folder / "index.html"


def votes_script(outputs: Path, server: bool = False) -> str:
    """The votes, as a script of the page.

    Args:
        outputs: root folder.
        server: whether the page comes from a server that saves votes (``nst.compare.server``).
    """
    found = {"votes": list(map(asdict, votes.read(outputs))), "server": server}
    return f"nstVotes({script(found)});\n"


def import_map() -> dict[str, dict[str, str]]:
    """The page's modules as ``nst/NAME``: data URLs, since a page from disk can import no file."""
    return {
        "imports": {
            f"nst/{path.stem}": "data:text/javascript;base64,"
            + base64.b64encode(path.read_bytes()).decode()
            for path in sorted(SCRIPTS.glob("*.js"))
        }
    }


def watch(outputs: Path, words: Sequence[str] = ()) -> Path:
    """Keeps the page up to date until Ctrl-C; waits if no run matches yet.

    Shows how far the parts of a sweep are that ``sweep=NAME`` or ``sweep=last`` names, if another
    launcher computes them.

    Returns:
        The page.

    Raises:
        ConfigError: if a word names a key that no run has, or a study that does not exist.
        NstError: if the page cannot be written, or no run matched until Ctrl-C.
    """
    known: dict[Path, int] = {}
    announced = False
    display = Display()
    try:
        while True:
            began = time.perf_counter()
            looked = (*outputs.glob("runs/*/*.*"), *outputs.glob(f"{FOLDER}/*.db"))
            now = {path: _stamp(path) for path in looked}
            if now != known:
                try:
                    page = build(outputs, words, live=True)
                except NoRunsError:
                    pass  # none yet
                else:
                    known = now
                    if not announced:
                        console = Console(stderr=True, highlight=False, soft_wrap=True)
                        console.print(f"watching; Ctrl-C stops: {page}", markup=False)
                        announced = True
            if (sweep := sweep_named(outputs, words)) is not None:
                display.update(sweep)
            # leave the processors to the sweep
            time.sleep(max(REFRESH, 4 * (time.perf_counter() - began)))
    except KeyboardInterrupt:
        pass
    finally:
        display.close()
    return build(outputs, words)


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # removed meanwhile
        return 0


def script(content: Any) -> str:
    """JSON for a script; no text in it can end the script."""
    text = json.dumps(content, separators=(",", ":"), default=str)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
