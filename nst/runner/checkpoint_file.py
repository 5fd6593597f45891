"""The checkpoint of a run folder: written whole, read only if it is intact and of the same run."""

from __future__ import annotations

import hashlib
import io
import logging
import pickle
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from nst.transfer.checkpoint import Checkpoint
from nst.utils.files import replace, shown, writing

log = logging.getLogger(__name__)

NAME = "checkpoint.pt"
VERSION = 3
_DIGEST = 64  # hex digits of a SHA-256, after the data


class _Hashed:
    """A file for ``torch.save`` that hashes what is written, without a second pass or copy."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.sha256 = file, hashlib.sha256()
        self.error: OSError | None = None

    def write(self, content: Any) -> int:
        self.sha256.update(content)
        try:
            return self.file.write(content)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        """Does nothing: closing the file flushes it."""


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Replaces the run folder's checkpoint. If the process dies, the previous one stays."""
    fields = {name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__}
    with writing(folder / NAME) as file:
        hashed = _Hashed(file)
        try:
            torch.save({"version": VERSION, **fields}, cast(Any, hashed))
        except RuntimeError as error:  # torch's own, which hides the error of the file
            raise hashed.error or error from None
        file.write(hashed.sha256.hexdigest().encode())


def load(folder: Path, signature: str) -> Checkpoint | None:
    """The checkpoint of a run folder; None if there is none.

    One that was cut short or altered, or belongs to another run, is moved aside with a warning.
    """
    path = folder / NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    problem = "it was cut short or altered"
    data, digest = content[:-_DIGEST], content[-_DIGEST:]
    if hashlib.sha256(data).hexdigest().encode() == digest:
        try:
            fields: dict[str, Any] = torch.load(io.BytesIO(data), weights_only=True)
            version = fields.pop("version")
            checkpoint = Checkpoint(**fields)
        except (RuntimeError, pickle.UnpicklingError, TypeError, KeyError, AttributeError):
            problem = "it is not a checkpoint"
        else:
            if version == VERSION and checkpoint.signature == signature:
                return checkpoint
            problem = "it belongs to another run or version"
    aside = path.with_suffix(".refused")
    replace(path, aside)
    log.warning("%s: refused, %s; moved to %s", shown(path), problem, aside.name)
    return None


def remove(folder: Path) -> None:
    """Removes the checkpoint of a run that has ended."""
    (folder / NAME).unlink(missing_ok=True)
