"""Measured pictures: what other programs made, with the metrics and the records of runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml
from PIL import Image

from nst import images
from nst.config.keys import PROGRAM
from nst.images import Picture
from nst.metrics.quality import Metrics
from nst.runner import machine, resolve
from nst.runner.folder import RunFolder, claim, locked
from nst.runner.record import COMPLETED, finished
from nst.transfer.run import Style
from nst.utils.errors import NstError
from nst.utils.files import escaped
from nst.utils.text import folder_part

BACKBONE = "vgg19"
TRAINER = {"accelerator": "auto", "devices": 1}
"""That of ``conf/trainer/default.yaml``: its device computes the metrics."""

STRETCH = 0.02
"""Largest difference between the shapes of a picture and its content, as a share of its side."""


@dataclass(frozen=True)
class Measuring:
    """Measures pictures of one program against a content picture, a style picture or both.

    Attributes:
        outputs: root folder; the records are in its folder ``runs``.
        program: that made the pictures.
        paths: of the inputs as typed, by ``content`` and ``style``; one of them may be missing.
        inputs: the pictures of the same names.
    """

    outputs: Path
    program: str
    paths: Mapping[str, str]
    inputs: Mapping[str, Picture]

    def record(self, result: Picture, file: str) -> tuple[Path, bool]:
        """Measures a picture and records it, unless it is recorded already.

        Args:
            result: the picture.
            file: its name.

        Returns:
            The folder of the record, and whether the picture was measured now.

        Raises:
            NstError: if the picture cannot be a version of the content: its shape is another one.
        """
        resized = self._resized(result.image.size)
        signature = self._signature(result)
        label = "-".join(filter(None, map(folder_part, (self.program, result.name)))) or "measured"
        path = claim(self.outputs / "runs", label, signature, force=False)
        with locked(path):
            if finished(path):
                return path, False
            styles = [Style(Picture("", resized["style"]))] if "style" in resized else []
            measures = self._metrics.measure(result.image, resized.get("content"), styles)
            folder = RunFolder(path)
            folder.start(self._config(file), self._facts(signature))
            for name, image in resized.items():
                folder.input(name, image)
            folder.final(result.image)
            folder.update(status=COMPLETED, measures=measures)
        return path, True

    @cached_property
    def _metrics(self) -> Metrics:
        return Metrics(resolve.default_weights(), BACKBONE, resolve.device(TRAINER))

    def _resized(self, size: tuple[int, int]) -> dict[str, Image.Image]:
        """The inputs as a run with a result of this size (width, height) uses them."""
        width, height = size
        found = {}
        for name, picture in self.inputs.items():
            shape = images.fit(picture.image.size, min(size))
            if name == "content":
                _check_shape(picture, shape, size)
                shape = height, width
            found[name] = images.to_image(images.to_tensor(picture, *shape))
        return found

    def _signature(self, result: Picture) -> str:
        """Hash of all that determines the metrics, and of the program's name: 10 hex digits."""
        identity = {
            PROGRAM: self.program,
            "result": result.sha256,
            "weights": resolve.default_weights().sha256,
            **{name: picture.sha256 for name, picture in self.inputs.items()},
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]

    def _config(self, file: str) -> str:
        config = {PROGRAM: self.program, "picture": escaped(file)}
        inputs = {name: {"path": escaped(path)} for name, path in self.paths.items()}
        return yaml.safe_dump(config | inputs, allow_unicode=True, sort_keys=False)

    def _facts(self, signature: str) -> dict[str, object]:
        return {
            PROGRAM: self.program,
            "signature": signature,
            **machine.facts(resolve.device(TRAINER)),
            "weights_sha256": resolve.default_weights().sha256,
            "backbone": BACKBONE,
            "inputs_sha256": {name: picture.sha256 for name, picture in self.inputs.items()},
        }


def _check_shape(content: Picture, shape: tuple[int, int], size: tuple[int, int]) -> None:
    """Checks that a result of this size (width, height) has the shape of the content.

    Args:
        content: the picture.
        shape: (height, width) of the content at the result's shorter side.
        size: of the result.

    Raises:
        NstError: naming both sizes.
    """
    for wanted, side in zip(shape, reversed(size), strict=True):
        if abs(wanted - side) > max(1, STRETCH * side):  # 1 px: sizes are rounded
            width, height = content.image.size
            problem = f"{size[0]}x{size[1]} px is not the shape of the content {content.name}"
            raise NstError(f"{problem}, {width}x{height} px")
