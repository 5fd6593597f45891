"""Where an unfinished run stood: written whole, read only if it is unharmed and of the same run."""

from __future__ import annotations

import hashlib
import io
import logging
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nst.files import write_whole

log = logging.getLogger(__name__)

NAME = "checkpoint.pt"
VERSION = 2
_DIGEST = 64  # hex digits of a SHA-256, before the data


@dataclass(frozen=True)
class Checkpoint:
    """One run between two steps.

    Attributes:
        signature: of the run.
        step: updates so far.
        seconds: that they took.
        image: (3, H, W), RGB in [0, 1], at the scale of the next step.
        optimizer: this image's part of the optimiser's state.
        rows: metrics so far.
        best: (loss, step, image) with the lowest loss so far at this scale.
    """

    signature: str
    step: int
    seconds: float
    image: Tensor
    optimizer: dict[str, Tensor]
    rows: list[dict[str, float]]
    best: tuple[float, int, Tensor]


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Replaces the run folder's checkpoint; whenever the process dies, an unharmed one is left."""
    data = io.BytesIO()
    fields = {name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__}
    torch.save({"version": VERSION, **fields}, data)
    content = data.getbuffer()
    digest = hashlib.sha256(content).hexdigest().encode()
    write_whole(folder / NAME, digest, content)


def load(folder: Path, signature: str) -> Checkpoint | None:
    """The checkpoint of a run folder; None if there is none.

    One that was cut short or altered, or that belongs to another run, is set aside and told of.
    """
    path = folder / NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    problem = "it was cut short or altered"
    digest, data = content[:_DIGEST], content[_DIGEST:]
    if hashlib.sha256(data).hexdigest().encode() == digest:
        try:
            fields: dict[str, Any] = torch.load(io.BytesIO(data), weights_only=True)
            version = fields.pop("version")
            checkpoint = Checkpoint(**fields)
        except (RuntimeError, pickle.UnpicklingError, TypeError, KeyError, AttributeError):
            problem = "it is no checkpoint"
        else:
            if version == VERSION and checkpoint.signature == signature:
                return checkpoint
            problem = "it belongs to another run or version"
    aside = path.with_suffix(".refused")
    path.replace(aside)
    log.warning("%s: refused, %s; set aside as %s", path, problem, aside.name)
    return None


def remove(folder: Path) -> None:
    """Forgets the checkpoint of a run that is finished."""
    (folder / NAME).unlink(missing_ok=True)
