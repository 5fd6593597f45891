"""TensorBoard: event files in the run folder."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from lightning.fabric.utilities.logger import _flatten_dict
from lightning.pytorch.loggers import TensorBoardLogger as LightningTensorBoardLogger
from PIL import Image

from nst.loggers.base import SafeLogger, guarded, require
from nst.utils.errors import ArgumentError

HPARAMS_METRICS = ("loss/total", "loss/content", "loss/style")
"""Metrics that the HParams tab shows beside the config."""


class TensorBoardLogger(SafeLogger, LightningTensorBoardLogger):
    """Lightning's logger, with pictures, and with the run's losses in the HParams tab.

    Args:
        **kwargs: as of Lightning's logger.

    Raises:
        ModuleNotFoundError: if TensorBoard is not installed. (Lightning would use tensorboardX.)
        ArgumentError: for an argument that neither Lightning's logger nor its writer has.
    """

    tracker = "TensorBoard"

    def __init__(self, **kwargs: Any) -> None:
        require("tensorboard")
        _check_names(kwargs)
        super().__init__(**kwargs)

    @guarded
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Logs the config, nested dicts."""
        from torch.utils.tensorboard.summary import hparams

        # Lightning's would log a metric hp_metric of -1, or a value for each metric that it names.
        flat = self._sanitize_params(_flatten_dict(params))
        writer = self.experiment._get_file_writer()
        for summary in hparams(flat, dict.fromkeys(HPARAMS_METRICS, 0.0)):
            writer.add_summary(summary, 0)

    def _log_image(self, key: str, path: str, step: int) -> None:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))
        self.experiment.add_image(key, pixels, step, dataformats="HWC")

    @guarded
    def save(self) -> None:
        """Flushes the file. Lightning's would also copy the config, which the run folder has."""
        self.experiment.flush()

    def _close(self, status: str) -> None:
        if self._experiment is not None:
            self._experiment.close()


def _check_names(arguments: dict[str, Any]) -> None:
    """Refuses unknown arguments now: the writer would only fail once the run has begun."""
    from torch.utils.tensorboard import SummaryWriter

    known = {*inspect.signature(LightningTensorBoardLogger.__init__).parameters}
    known |= {*inspect.signature(SummaryWriter.__init__).parameters}
    for name in sorted(arguments.keys() - (known - {"self", "kwargs", "log_dir"})):
        raise ArgumentError(name, arguments[name], "TensorBoard's writer has no such argument")
