"""The page that sets runs side by side: what to show of them, as data beside the page."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs
from rich.console import Console
from rich.progress import Progress

from nst.compare.filmstrips import Film, film
from nst.compare.select import Entry, NoRunsError, entries, select
from nst.config.differences import settings
from nst.config.experiment import MEASURES
from nst.config.keys import shown
from nst.report.page import PLOTLY, environment
from nst.utils.errors import NstError
from nst.utils.files import write_whole

DATA = "runs.js"
POINTS = 150
"""Rows of a run's losses that the page gets at most, closer together at the beginning."""

REFRESH = 3.0
"""Seconds between looks at the runs while watching."""

_NOT_ASKED = ("retry", "force")


def build(outputs: Path, words: Sequence[str] = (), live: bool = False) -> Path:
    """Makes ``OUTPUTS/compare`` from the run folders in ``OUTPUTS/runs``.

    Args:
        outputs: root folder.
        words: which runs, see ``nst.compare.select``; none: all.
        live: the page is to look for newer data by itself.

    Returns:
        The page.

    Raises:
        ConfigError: if a word names a key that no run has.
        NstError: if there is no such run, or the page cannot be written.
    """
    chosen = select(entries(outputs), words)
    folder = outputs / "compare"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        content = _data(folder, chosen, live)
        if not (folder / PLOTLY).exists():
            write_whole(folder / PLOTLY, get_plotlyjs().encode())
        write_whole(folder / DATA, f"nstRuns({_script(content)});\n".encode())
        template = environment("nst.compare").get_template("compare.html.jinja")
        page = template.render(plotly=PLOTLY, data=DATA)
        write_whole(folder / "index.html", page.encode())
    except OSError as error:
        raise NstError(f"the page cannot be written: {error}") from error
    return folder / "index.html"


def watch(outputs: Path, words: Sequence[str] = ()) -> Path:
    """Keeps the page up to date until Ctrl-C; runs that are not there yet are waited for.

    Returns:
        The page.

    Raises:
        ConfigError: if a word names a key that no run has.
        NstError: if the page cannot be written, or there was no such run until Ctrl-C.
    """
    known: dict[Path, int] = {}
    told = False
    try:
        while True:
            began = time.perf_counter()
            now = {path: _stamp(path) for path in outputs.glob("runs/*/*.*")}
            if now != known:
                try:
                    page = build(outputs, words, live=True)
                except NoRunsError:
                    pass  # yet
                else:
                    known = now
                    if not told:
                        console = Console(stderr=True, highlight=False, soft_wrap=True)
                        console.print(f"watching, Ctrl-C ends: {page}", markup=False)
                        told = True
            # the sweep needs the processors more than we do
            time.sleep(max(REFRESH, 4 * (time.perf_counter() - began)))
    except KeyboardInterrupt:
        pass
    return build(outputs, words)


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # taken away meanwhile
        return 0


def _script(content: Any) -> str:
    """JSON that may stand in a script: no text in it can end the script."""
    text = json.dumps(content, separators=(",", ":"), default=str)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _data(page: Path, chosen: Sequence[Entry], live: bool) -> dict[str, Any]:
    configs = [entry.result.config for entry in chosen]
    differing = settings(configs)
    flats = [shown(config) for config in configs]
    same = {
        key: _shown(value)
        for key, value in flats[0].items()
        if all(str(other.get(key)) == str(value) for other in flats)
    }
    snapshots = [_snapshots(entry) for entry in chosen]
    films = _films(page, chosen, snapshots)
    return {
        "live": REFRESH if live else None,
        "made": time.time(),
        "keys": list(dict.fromkeys(key for found in differing for key in found)),
        "same": same,
        "measures": {
            name: {"title": measure.title, "better": measure.better, "about": measure.about}
            for name, measure in MEASURES.items()
        },
        "runs": [
            _run(page, *each) for each in zip(chosen, differing, snapshots, films, strict=True)
        ],
    }


def _films(
    page: Path, chosen: Sequence[Entry], snapshots: Sequence[Sequence[tuple[int, Path]]]
) -> list[Film | None]:
    console = Console(stderr=True)
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        Progress(console=console, transient=True, disable=not console.is_terminal) as bar,
    ):
        made = pool.map(film, [page] * len(chosen), [each.name for each in chosen], snapshots)
        return list(bar.track(made, total=len(chosen), description="thumbnails"))


def _snapshots(entry: Entry) -> list[tuple[int, Path]]:
    return [*entry.result.snapshots.items()]


def _run(
    page: Path,
    entry: Entry,
    differing: dict[str, Any],
    snapshots: Sequence[tuple[int, Path]],
    film: Film | None,
) -> dict[str, Any]:
    result = entry.result
    rows = result.rows
    seconds = {int(row["step"]): row["seconds"] for row in rows}
    files = {step: _href(page, path) for step, path in snapshots}
    steps = film.steps if film else []
    inputs = {
        name: _href(page, path)
        for name in ("content", "style")
        if (path := result.picture(name)) is not None
    }
    measures = {name: result.measure(name) for name in MEASURES}
    # of a run that is going, or was stopped: as far as it came
    losses = rows[-1] if rows else {}
    return {
        "id": entry.name,
        "signature": str(result.facts.get("signature", "")),
        "folder": _href(page, result.folder),
        "status": result.status,
        "reason": result.facts.get("reason"),
        "values": {key: _shown(value) for key, value in differing.items()},
        "sort": {key: value for key, value in differing.items() if isinstance(value, int | float)},
        "measures": {
            name: value
            for name, value in {
                **measures,
                "loss": measures["loss"] or losses.get("loss/total"),
                "seconds": measures["seconds"] or losses.get("seconds"),
            }.items()
            if value is not None
        },
        "step": int(losses.get("step", 0)),
        "experiments": entry.experiments,
        "sweeps": list(entry.sweeps),
        "film": film
        and {
            "href": film.href,
            "columns": film.columns,
            "rows": film.rows,
            "size": film.size,
            "steps": steps,
            "seconds": [seconds.get(step, 0.0) for step in steps],
            "files": [files[step] for step in steps],
        },
        "inputs": inputs,
        "command": _command(result.config),
        "curves": _curves(rows),
    }


def _command(config: dict[str, Any]) -> str | None:
    """What makes the run; None for one that was not asked for on the command line."""
    words = (config.get("run") or {}).get("overrides")
    if words is None:
        return None
    own = [word for word in words if word.split("=")[0] not in _NOT_ASKED]
    if any(word.startswith("+experiments=") for word in own):
        own.append("hydra.mode=RUN")  # the file says a sweep
    return " ".join(["nst", *map(shlex.quote, own)])


def _href(page: Path, path: Path) -> str:
    return Path(os.path.relpath(path, page)).as_posix()


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    # 1e6 as one types it, not 1e+06
    return re.sub(r"e\+?(-?)0*", r"e\1", f"{value:g}") if isinstance(value, float) else str(value)


def _curves(rows: Sequence[dict[str, float]]) -> dict[str, list[float | None]]:
    """Columns of ``metrics.csv``, thinned, to four digits."""
    kept = _thinned(len(rows))
    names = [key for key in rows[0] if key != "lr"] if rows else []
    return {
        name: [
            _rounded(rows[index].get(name)) if name != "step" else int(rows[index]["step"])
            for index in kept
        ]
        for name in names
    }


def _thinned(count: int) -> list[int]:
    if count <= POINTS:
        return list(range(count))
    # dense where losses fall fast, even on a log axis
    exponent = 2.0
    spread = {round((count - 1) * (index / (POINTS - 1)) ** exponent) for index in range(POINTS)}
    return sorted(spread)


def _rounded(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None  # no JSON
    return float(f"{value:.4g}")
