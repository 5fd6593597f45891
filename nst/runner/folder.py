"""Writes run folders. Every file appears whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import Timeout
from PIL import Image

from nst import __version__
from nst.runner.record import (
    FACTS,
    RUNNING,
    finished,
    read_facts,
    seal,
)
from nst.utils.files import replace, save_png, shown, write_whole
from nst.utils.lock import lock

log = logging.getLogger(__name__)

LOCK = ".lease"
"""File of the lock of a run folder, and of the root folder."""

_PACKAGES = ("torch", "torchvision", "lightning", "hydra-core", "omegaconf", "wandb", "pillow")


class RunFolder:
    """Writes ``config.yaml``, ``run.json``, ``metrics.csv`` and pictures.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._facts: dict[str, Any] = {}

    def clear(self, kept: Collection[int] = ()) -> None:
        """Removes what an unfinished attempt left, such as files that no logger can resume.

        Args:
            kept: steps whose snapshots stay because the run resumes from a later step.
        """
        trackers = [*self.path.glob("wandb/offline-run-*"), self.path / "csv"]
        for path in (*trackers, self.path / "tensorboard", self.path / "inputs"):
            shutil.rmtree(path, ignore_errors=True)
        for path in (self.path / "snapshots").glob("*"):
            if path not in map(self.snapshot_path, kept):
                path.unlink()
        for name in ("metrics.csv", "final.png", "tiled.png", "best.png"):
            (self.path / name).unlink(missing_ok=True)
        if (self.path / FACTS).exists() and not read_facts(self.path):
            aside = (self.path / FACTS).with_suffix(".refused")
            replace(self.path / FACTS, aside)
            text = "%s: refused, it was cut short or altered; moved to %s"
            log.warning(text, shown(self.path / FACTS), aside.name)

    def start(self, config_yaml: str, facts: Mapping[str, Any]) -> None:
        """Writes the config and the facts that are known before the first step.

        Args:
            config_yaml: the resolved config.
            facts: for ``run.json``.
        """
        (self.path / "inputs").mkdir(parents=True, exist_ok=True)
        self._write_text("config.yaml", config_yaml)
        self._facts = {**facts, "git_commit": git_commit(), "packages": package_versions()}
        self.update(status=RUNNING)

    def update(self, **facts: Any) -> None:
        """Changes facts in ``run.json``."""
        self._facts = {**self._facts, **facts}
        self._write_text(FACTS, json.dumps(seal(self._facts), indent=2) + "\n")

    def metrics(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Writes ``metrics.csv`` with all rows so far."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        self._write_text("metrics.csv", text.getvalue())

    def snapshot(self, step: int, image: Image.Image) -> Path:
        """Writes the image after ``step`` updates."""
        self.snapshot_path(step).parent.mkdir(exist_ok=True)
        save_png(image, self.snapshot_path(step))
        return self.snapshot_path(step)

    def snapshot_path(self, step: int) -> Path:
        """Path of the image after ``step`` updates."""
        return self.path / "snapshots" / f"{step:05d}.png"

    def final(self, image: Image.Image) -> Path:
        """Writes the result."""
        return self._picture("final.png", image)

    def tiled(self, image: Image.Image) -> Path:
        """Writes copies of a result side by side."""
        return self._picture("tiled.png", image)

    def best(self, image: Image.Image) -> Path:
        """Writes the image with the lowest loss of a run that diverged."""
        return self._picture("best.png", image)

    def input(self, name: str, image: Image.Image) -> Path:
        """Writes an input as the run uses it."""
        return self._picture(f"inputs/{name}.png", image)

    def _picture(self, name: str, image: Image.Image) -> Path:
        save_png(image, self.path / name)
        return self.path / name

    def _write_text(self, name: str, text: str) -> None:
        write_whole(self.path / name, text.encode())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Locks a run folder, and waits while another process, here or elsewhere, has the lock."""
    path.mkdir(parents=True, exist_ok=True)
    own = lock(path / LOCK)
    try:
        own.acquire(blocking=False)
    except Timeout:
        log.info("waiting: another process computes %s", shown(path))
        own.acquire()
    try:
        yield
    finally:
        own.release()


def place(runs: Path, label: str, signature: str, force: bool) -> Path:
    """The folder of a run: an existing one with its signature, whatever its label, or a new one.

    Args:
        runs: the folder of all run folders.
        label: beginning of the name of a new folder.
        signature: of the run.
        force: return a new folder beside a finished one.
    """
    # a longer number is the signature of a measured picture with this one as its name
    pattern = re.compile(rf"(.+)-{signature}(?:-(\d{{1,9}}))?")
    names: list[str] = []
    with suppress(OSError), os.scandir(runs) as entries:  # claim raises if it cannot be listed
        names = [entry.name for entry in entries if signature in entry.name]
    matches = filter(None, map(pattern.fullmatch, names))
    found = [(int(match[2] or 1), match[1] != label, match[0]) for match in matches]
    paths = [runs / name for _, _, name in sorted(found)]  # forced ones last
    done = [path for path in paths if finished(path)]
    if force:
        again = f"-{max(found)[0] + 1}" if found else ""
        left = [path for path in paths if path not in done]
        return left[0] if left else runs / f"{label}-{signature}{again}"
    return [*done, *paths, runs / f"{label}-{signature}"][0]


def claim(runs: Path, label: str, signature: str, force: bool) -> Path:
    """``place``, and makes the folder, so that other processes find it."""
    runs.mkdir(parents=True, exist_ok=True)
    with lock(runs.parent / LOCK):  # the same picture may have two names in two processes
        path = place(runs, label, signature, force)
        path.mkdir(exist_ok=True)
    return path


@cache
def git_commit() -> str | None:
    """Commit of the checkout that ``nst`` runs from, with ``+changes`` if it was edited."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "HEAD")
        return head + ("+changes" if _git(root, "status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", os.fspath(root), *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.strip()


@cache
def package_versions() -> dict[str, str]:
    """Versions of nst and of the packages that the numbers depend on."""
    return {"nst": __version__, **{name: metadata.version(name) for name in _PACKAGES}}
