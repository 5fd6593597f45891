"""TensorBoard as a Lightning logger that takes pictures: event files in the run folder."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
from lightning.fabric.utilities.logger import _flatten_dict
from lightning.pytorch.loggers import TensorBoardLogger as LightningTensorBoardLogger
from PIL import Image

from nst.loggers import require
from nst.loggers.isolation import Unharmed
from nst.utils.errors import ArgumentError

JUDGED_BY = ("loss/total", "loss/content", "loss/style")
"""Metrics that the HParams tab puts beside the config."""


class TensorBoardLogger(LightningTensorBoardLogger):
    """Lightning's logger with pictures, and with the config beside the losses that we log.

    Args:
        **kwargs: as Lightning's.

    Raises:
        ModuleNotFoundError: if TensorBoard is not installed; no other writer will do.
        ArgumentError: for an argument that neither Lightning's logger nor its writer has.
    """

    def __init__(self, **kwargs: Any) -> None:
        require("tensorboard")
        _check_names(kwargs)
        super().__init__(**kwargs)
        self._tell = Unharmed("TensorBoard")
        self._ended = False

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Tells TensorBoard the config."""
        self._tell(self._log_hyperparams, params)

    def _log_hyperparams(self, params: dict[str, Any]) -> None:
        from torch.utils.tensorboard.summary import hparams

        # Lightning's own would log a metric hp_metric of -1, or a value for each that it names.
        flat = self._sanitize_params(_flatten_dict(params))
        writer = self.experiment._get_file_writer()
        for summary in hparams(flat, dict.fromkeys(JUDGED_BY, 0.0)):
            writer.add_summary(summary, 0)

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Logs each metric under its own name."""
        self._tell(super().log_metrics, metrics, step)

    def log_image(
        self, key: str, images: Sequence[str], step: int, caption: Sequence[str] | None = None
    ) -> None:
        """Logs pictures from their files; TensorBoard has no captions.

        Args:
            key: their tag.
            images: paths; more than one has a row of pictures.
            step: where the slider finds them.
            caption: not shown.
        """
        for path in images:
            self._tell(self._log_image, key, path, step)

    def _log_image(self, key: str, path: str, step: int) -> None:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))
        self.experiment.add_image(key, pixels, step, dataformats="HWC")

    def save(self) -> None:
        """Writes what waits. Lightning would copy the config here too, which the folder has."""
        self._tell(self.experiment.flush)

    def finalize(self, status: str) -> None:
        """Writes what waits, and closes the file."""
        if self._experiment is not None and not self._ended:
            self._ended = True
            self._tell(super().finalize, status)


def _check_names(arguments: dict[str, Any]) -> None:
    """The writer would refuse them once the run has begun, and the run would go without it."""
    from torch.utils.tensorboard import SummaryWriter

    known = {*inspect.signature(LightningTensorBoardLogger.__init__).parameters}
    known |= {*inspect.signature(SummaryWriter.__init__).parameters}
    for name in sorted(arguments.keys() - (known - {"self", "kwargs", "log_dir"})):
        raise ArgumentError(name, arguments[name], "TensorBoard's writer has no such argument")
