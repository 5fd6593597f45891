"""Files that appear whole or not at all."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hydra.utils import get_original_cwd, to_absolute_path
from PIL import Image


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A file beside ``path`` that takes its name at the end: a reader never sees half.

    Raises:
        OSError: that names ``path``, if there is no room, say; nothing is left then.
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
    """Writes all of a file, or nothing; raises as ``writing`` does."""
    with writing(path) as file:
        file.write(content)


def save_png(image: Image.Image, path: Path) -> None:
    """Writes a PNG whole or not at all."""
    data = io.BytesIO()  # Pillow on its own does not say that a disk is full
    image.save(data, format="PNG")
    write_whole(path, data.getbuffer())


def existing(path: str) -> Path:
    """The file that a user named.

    Raises:
        ValueError: in a few words, if there is none that can be read.
    """
    try:
        # relative to where the command was started: a job may run elsewhere (hydra.job.chdir)
        file = Path(to_absolute_path(str(Path(path).expanduser())))
        if not file.is_file():
            raise ValueError("is a folder" if file.is_dir() else "no such file")
    except (OSError, RuntimeError) as error:  # a name too long, a user that does not exist
        told = error.strerror if isinstance(error, OSError) else str(error)
        raise ValueError(f"no such file ({told})") from error
    return file


def absolute(path: str, base: str | os.PathLike[str]) -> Path:
    """A path that was typed in the folder ``base``, an absolute one, as it holds anywhere.

    Raises:
        RuntimeError: if it begins with ``~`` and the name of a user that does not exist.
    """
    return Path(base) / Path(path).expanduser()


def shown(path: Path) -> Path:
    """A path as a person would type it where the command was started."""
    try:
        start = Path(get_original_cwd())
    except ValueError:  # no job runs
        start = Path.cwd()
    return path.relative_to(start) if path.is_relative_to(start) else path
