"""What the page shows of each run, kept in a file: a page of 10,000 runs reads only the new ones.

A run is read again when any file of its folder has changed, and all are when nst has.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

import nst
from nst.compare.filmstrips import FOLDER, outdated
from nst.compare.page_run import PageRun, details, read
from nst.runner.record import FACTS, RUNNING, RunRecord
from nst.utils.files import write_whole

FILE = "runs.jsonl"
LOOKED_AT = ("", FACTS, "config.yaml", "metrics.csv", "inputs", "snapshots", "experiments")
"""Files and folders whose times tell whether anything in a run folder has changed."""

SETTLED = 2.0
"""Seconds since the last change of a run folder before it is kept: times of files are coarse."""

Stamp = list[list[int]]
"""Time in ns and bytes of each of ``LOOKED_AT``; zeros where there is none."""


@dataclass
class _Kept:
    stamp: Stamp
    run: PageRun
    details: dict[str, Any] | None = None


class RunCache:
    """Runs, read or remembered.

    Args:
        page: folder of the page, which has the file.
    """

    def __init__(self, page: Path) -> None:
        self._page, self._path = page, page / FILE
        self._known: dict[str, _Kept] = {}
        self._usual: dict[str, dict[str, Any]] = {}  # facts and settings that most runs share
        self._base = _digest(self._usual)
        self._new: set[str] = set()
        self._lines = 0
        for line in self._read():
            # two processes may have written at the same time
            with suppress(ValueError, TypeError, KeyError):
                kept = self._unpacked(json.loads(line))
                self._known[kept.run.name] = kept

    def _read(self) -> Iterable[bytes]:
        try:
            first, *lines = self._path.read_bytes().splitlines()
            head = json.loads(first)
            if head["nst"] != _code():
                return []
            self._usual, self._base = head["usual"], _digest(head["usual"])
        except (OSError, ValueError, TypeError, KeyError):
            return []
        self._lines = len(lines)
        return lines

    def _unpacked(self, found: dict[str, Any]) -> _Kept:
        run, base = found["run"], found["base"]
        if base not in (None, self._base):  # another process wrote the file anew meanwhile
            raise KeyError(base)
        for name, usual in self._usual.items() if base else ():
            run[name] = {**usual, **run[name]}
        return _Kept(found["stamp"], PageRun(**run), found["details"])

    def _packed(self, kept: _Kept) -> bytes:
        """A line of the file: of ``facts`` and ``settings`` only what is unusual."""
        run = asdict(kept.run)
        base: str | None = self._base
        if any(list(run[name]) != list(usual) for name, usual in self._usual.items()):
            base = None
        for name, usual in self._usual.items() if base else ():
            # 1 == 1.0 == True, which are different values
            own = {key: each for key, each in run[name].items() if repr(each) != repr(usual[key])}
            run[name] = own
        found = {"stamp": kept.stamp, "base": base, "run": run, "details": kept.details}
        return f"{json.dumps(found, default=str)}\n".encode()

    def run(self, folder: Path) -> PageRun | None:
        """A run; None: its config cannot be read."""
        stamp = _stamp(folder)
        known = self._known.get(folder.name)
        if known is not None and known.stamp == stamp:
            return known.run
        self._known.pop(folder.name, None)
        found = read(RunRecord(folder))
        if found is not None:
            self._known[folder.name] = _Kept(stamp, found)
            self._new.add(folder.name)
        return found

    def details(self, folders: Sequence[Path]) -> list[dict[str, Any]]:
        """Of each run that ``run`` has returned, its part of the page's data."""
        there = {path.name for path in (self._page / FOLDER).glob("*.webp")}
        left = [folder for folder in folders if not self._is_whole(folder.name, there)]
        console = Console(stderr=True)
        with (
            ThreadPoolExecutor(os.cpu_count()) as pool,
            Progress(console=console, transient=True, disable=not console.is_terminal) as bar,
        ):
            made = pool.map(partial(details, self._page), [RunRecord(each) for each in left])
            shown = bar.track(made, total=len(left), description="thumbnails")
            for folder, own in zip(left, shown, strict=True):
                self._known[folder.name].details = own
                self._new.add(folder.name)
        made_now = [name for folder in left if (name := self._filmstrip(folder.name))]
        for path in outdated(self._page, made_now) if made_now else ():
            path.unlink(missing_ok=True)
        found = [self._known[folder.name].details for folder in folders]
        return [each for each in found if each is not None]

    def _is_whole(self, name: str, there: set[str]) -> bool:
        """Whether the details of a run are known, and its filmstrip is still there."""
        if self._known[name].details is None:
            return False
        own = self._filmstrip(name)
        return own is None or own in there

    def _filmstrip(self, name: str) -> str | None:
        """File name of a run's filmstrip."""
        own = (self._known[name].details or {}).get("filmstrip")
        return Path(own["href"]).name if own else None

    def save(self) -> None:
        """Appends what was read, or writes the file anew when much of it is outdated."""
        settled = 1e9 * (time.time() - SETTLED)
        new = [
            each
            for name in sorted(self._new)
            if (each := self._known[name]).run.facts["status"] != RUNNING
            and max(changed for changed, _ in each.stamp) < settled
        ]
        if not new:
            return
        if self._lines and self._lines + len(new) < 2 * len(self._known):
            with self._path.open("ab") as file:
                file.write(b"".join(map(self._packed, new)))
        else:
            whole = [each for name, each in self._known.items() if name not in self._new] + new
            first = whole[0].run
            self._usual = {"facts": dict(first.facts), "settings": first.settings}
            self._base = _digest(self._usual)
            head = json.dumps({"nst": _code(), "usual": self._usual}, default=str)
            lines = b"".join(map(self._packed, whole))
            write_whole(self._path, f"{head}\n".encode() + lines)


def _digest(usual: dict[str, Any]) -> str:
    text = json.dumps(usual, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _stamp(folder: Path) -> Stamp:
    found = []
    for name in LOOKED_AT:
        try:
            stat = (folder / name).stat()
        except OSError:
            found.append([0, 0])
        else:
            found.append([stat.st_mtime_ns, stat.st_size])
    return found


@cache
def _code() -> str:
    """A hash that changes whenever nst does."""
    root = Path(nst.__file__).parent
    stats = {str(path.relative_to(root)): path.stat() for path in sorted(root.rglob("*.py"))}
    found = [(name, stat.st_mtime_ns, stat.st_size) for name, stat in stats.items()]
    return hashlib.sha256(repr(found).encode()).hexdigest()
