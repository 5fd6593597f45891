"""Files that appear whole or not at all."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

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
        file = Path(path).expanduser()
        if not file.is_file():
            raise ValueError("is a folder" if file.is_dir() else "no such file")
    except (OSError, RuntimeError) as error:  # a name too long, a user that does not exist
        told = error.strerror if isinstance(error, OSError) else str(error)
        raise ValueError(f"no such file ({told})") from error
    return file
