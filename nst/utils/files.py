"""Files: written whole or not at all, and found by the names that users type."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hydra.utils import get_original_cwd, to_absolute_path
from PIL import Image


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
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    finally:
        with suppress(OSError):  # the file system may have become read-only
            temporary.unlink(missing_ok=True)


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
        with suppress(RuntimeError):  # no such user: the file's own name begins with ~
            yield Path(to_absolute_path(str(Path(name).expanduser())))
        yield Path(to_absolute_path(name))


def absolute(path: str, base: str | os.PathLike[str]) -> Path:
    """The absolute path of a ``path`` typed in the absolute folder ``base``.

    Raises:
        RuntimeError: if it begins with ``~`` and the name of a user who does not exist.
    """
    return Path(base) / Path(path).expanduser()


def shown(path: Path) -> Path:
    """The path as one would type it where the command was started."""
    try:
        start = Path(get_original_cwd())
    except ValueError:  # no job runs
        start = Path.cwd()
    return path.relative_to(start) if path.is_relative_to(start) else path
