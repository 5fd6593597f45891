"""Files: written whole or not at all, and found by the names that users type."""

from __future__ import annotations

import glob
import io
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from hydra.utils import get_original_cwd, to_absolute_path
from PIL import Image

from nst.utils.text import natural

PATIENCE = 5.0
"""Seconds that a file may be open in another program while it is to be replaced, on Windows."""

BUILTIN = "builtin:"
"""Begins the name of a built-in picture where the name of a file could be."""


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Opens a temporary file that replaces ``path`` at the end: readers never see half a file.

    Raises:
        OSError: naming ``path``, for example if the disk is full; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
        replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    finally:
        with suppress(OSError):  # the file system may have become read-only
            temporary.unlink(missing_ok=True)


def replace(source: Path, target: Path) -> None:
    """Moves a file to the place of another.

    On Windows no file can be replaced while a program has it open, which for readers of ours is a
    moment: it is tried again for ``PATIENCE`` seconds.

    Raises:
        OSError: then, or for another reason.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            source.replace(target)
            return
        except PermissionError:
            if sys.platform != "win32" or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Writes a file whole or not at all; raises what ``writing`` raises."""
    with writing(path) as file:
        file.write(content)


def save_png(image: Image.Image, path: Path) -> None:
    """Writes a PNG whole or not at all."""
    data = io.BytesIO()  # Pillow would not report a full disk
    image.save(data, format="PNG")
    write_whole(path, data.getbuffer())


def escaped(name: str) -> str:
    """A file name with bytes that are not UTF-8 written as ``\\xe9``, to be printed and stored.

    Python represents these bytes by surrogates, which no encoder accepts. ``existing`` finds the
    file by the escaped name.
    """
    return re.sub("[\udc80-\udcff]", lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02x}", name)


def existing(path: str) -> Path:
    """The file that a user named.

    Args:
        path: as typed, perhaps with ``~`` for a home folder, or as ``escaped`` writes it.

    Raises:
        ValueError: in a few words, if there is no such file.
    """
    problem = "no such file"
    for file in _candidates(path):
        try:
            if file.is_file():
                return file
            if file.is_dir():
                problem = "is a folder"
        except OSError as error:  # such as a name that is too long
            problem = f"no such file ({error.strerror})"
    raise ValueError(problem)


def _candidates(path: str) -> Iterator[Path]:
    """The files that a name can mean, the likeliest first.

    Names are relative to where the command was started: a job may run elsewhere
    (``hydra.job.chdir``).
    """
    bytewise = re.sub(r"\\x([89a-f][0-9a-f])", lambda byte: chr(0xDC00 + int(byte[1], 16)), path)
    for name in dict.fromkeys((path, bytewise)):
        yield Path(to_absolute_path(_from_home(name)))
        yield Path(to_absolute_path(name))


def folder(path: str) -> Path | None:
    """The folder that a user named, as typed or else absolute; None if there is no such folder."""
    if not path.strip():
        return None
    typed = [] if path.startswith("~") else [Path(path)]
    found = (*typed, *_candidates(path))
    return next((each for each in found if _exists(each.is_dir)), None)


def files_in(folder: Path) -> list[Path]:
    """The files in a folder but for hidden ones, not in subfolders; sorted."""
    return _sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def matching(pattern: str) -> list[Path]:
    """The files that a pattern matches (``*``, ``?``, ``[abc]``, ``**``), sorted.

    Folders at its beginning that exist are taken as they are, whatever their names.
    """
    if "\0" in pattern:
        return []
    pattern = _from_home(pattern)
    if os.sep == "\\":
        pattern = pattern.replace(os.sep, "/")
    head, slash, tail = pattern.rpartition("/")
    while slash and not _exists(Path(head or slash).is_dir):
        head, slash, part = head.rpartition("/")
        tail = f"{part}/{tail}"
    # Path.glob takes no ** within a name, and finds hidden files
    found = glob.glob(glob.escape(head) + slash + tail, recursive=True)  # noqa: PTH207
    return _sorted(map(Path, found))


def _sorted(paths: Iterable[Path]) -> list[Path]:
    files = {path for path in paths if _exists(path.is_file)}
    return sorted(files, key=lambda path: natural(str(path)))


def _exists(test: Callable[[], bool]) -> bool:
    try:
        return test()
    except OSError:  # such as a name that is too long
        return False


def _from_home(name: str) -> str:
    """A name with ``~`` at its beginning replaced, unless no user has the name after it.

    In ``./~`` it is the name of a file.
    """
    if name.startswith("~"):
        with suppress(RuntimeError):  # no such user: the file's own name begins with ~
            return str(Path(name).expanduser())
    return name


def in_a_home(name: str) -> bool:
    """Whether ``~`` at the beginning of a name means the home folder of a user who exists."""
    return _from_home(name) != name


def absolute(path: str, base: str | os.PathLike[str]) -> Path:
    """The absolute path of a ``path`` typed in the absolute folder ``base``.

    Raises:
        RuntimeError: if it begins with ``~`` and the name of a user who does not exist.
    """
    return Path(base) / Path(path).expanduser()


def relative(path: Path, start: Path) -> str:
    """The path from a folder; as it is if both are on different drives of Windows."""
    try:
        return os.path.relpath(path, start)
    except ValueError:
        return str(path)


def shown(path: Path) -> Path:
    """The path as one would type it where the command was started."""
    try:
        start = Path(get_original_cwd())
    except ValueError:  # no job runs
        start = Path.cwd()
    return path.relative_to(start) if path.is_relative_to(start) else path


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file with a mapping; empty if it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
