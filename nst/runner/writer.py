"""Writes one run: to its folder and to its loggers."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from lightning.pytorch.loggers import Logger
from PIL import Image
from torch import Tensor

from nst import images
from nst.config.experiment import style_names
from nst.images import Picture, masks
from nst.images.colour_transfer import ORIGINAL
from nst.images.lab import Colours
from nst.runner import checkpoint_file
from nst.runner.folder import RunFolder
from nst.runner.record import COMPLETED, DIVERGED, FAILED, INTERRUPTED, PRUNED
from nst.transfer.checkpoint import Checkpoint
from nst.transfer.departure import Departure, Why
from nst.transfer.run import Run, Style
from nst.utils.errors import DivergedError, PrunedError, reason


@dataclass
class RunWriter:
    """Writes one run of a batch, from its first step to its end.

    Attributes:
        run: the run.
        folder: its run folder.
        config: its config, with every interpolation resolved.
        loggers: its Lightning loggers.
        checkpoint: the one that it resumes from; None: it starts anew.
        rows: its metrics so far.
        content: at the size of the result; None if the task has none.
        styles: as given, at the sizes that the run uses: metrics compare the result with them,
            so that runs with different values of ``colour`` are measured alike.
        left: whether its image has left the batch, or is about to; later rows are not recorded.
        ended: whether it has ended; others of its batch may not have.
        error: why this run alone ended: it diverged, or could not be written.
    """

    run: Run
    folder: RunFolder
    config: dict[str, Any]
    loggers: Sequence[Logger]
    checkpoint: Checkpoint | None = None
    rows: list[dict[str, float]] = field(default_factory=list)
    content: Image.Image | None = None
    styles: list[Style] = field(default_factory=list)
    left: bool = False
    ended: bool = False
    error: Exception | None = None
    _colours: Colours | None = None  # of the content, at the last shape shown

    def names(self, losses: Sequence[str]) -> list[str]:
        """Those of the batch's losses that belong to this run."""
        own = {"total", "content", "style", "tv"}
        own |= {f"{term}/{part}" for term in ("content", "style") for part in self.run.terms(term)}
        if self.run.uses_spectrum:
            own.add("spectrum")
        return [name for name in losses if name in own]

    @contextmanager
    def isolating_errors(self) -> Iterator[None]:
        """An error inside ends only this run, not the others of its batch."""
        try:
            yield
        except Exception as error:
            self.ended = False  # it may have been complete except for its loggers
            self.fail(error)
            self.ended, self.error = True, error

    def begin(self) -> None:
        """Starts the loggers with the config, the inputs and the rows before the checkpoint."""
        with self.isolating_errors():
            for logger in self.loggers:
                logger.log_hyperparams(self.config)
            self._keep_inputs()
            self._replay()

    def _keep_inputs(self) -> None:
        """Writes the inputs, at the sizes that the run uses, with their masks and parts."""
        run, scale = self.run, self.run.scales[-1]
        found: dict[str, Image.Image] = {}
        if run.content is not None:
            self.content = found["content"] = _resized(run.content, run.shape(scale))
            found |= run.content.parts
        for name, style in zip(style_names(len(run.styles)), run.styles, strict=True):
            shape = run.style_shape(style, scale)
            found[name] = _resized(style.picture, shape)
            given = found[name]
            if ORIGINAL in style.picture.parts:
                given = _resized(Picture("", style.picture.parts[ORIGINAL]), shape)
                found[name.replace("style", ORIGINAL)] = given
            self.styles.append(replace(style, picture=Picture("", given)))
            for mask, key, size in (
                (style.region, "region", run.shape(scale)),
                (style.source, "source_region", shape),
            ):
                if mask is not None:
                    grey = masks.to_tensor(mask, *size).expand(3, -1, -1)
                    found[name.replace("style", key)] = images.to_image(grey)
        for name, image in found.items():
            self.log_picture(name, self.folder.input(name, image), 0)

    def _replay(self) -> None:
        """Logs again the rows and snapshots before the checkpoint."""
        if self.checkpoint is None:
            return
        for row in self.checkpoint.rows:
            self.log(row)
            step = int(row["step"])
            if step % self.run.config.snapshot_every == 0:
                self.log_picture("snapshot", self.folder.snapshot_path(step), step)

    def log(self, row: dict[str, float]) -> None:
        """Logs a row; ``metrics.csv`` gets it when it is written next."""
        self.rows.append(row)
        metrics = {name: value for name, value in row.items() if name != "step"}
        for logger in self.loggers:
            logger.log_metrics(metrics, step=int(row["step"]))

    def picture(self, image: Tensor) -> Image.Image:
        """The image (3, H, W) as it is shown: in the colours of the content, if they are kept."""
        if self.run.grey is not None and self.run.content is not None:
            shape = image.shape[1:]
            if self._colours is None or self._colours.shape != shape:
                content = images.to_tensor(self.run.content, *shape)
                self._colours = Colours(content.to(image))
            image = self._colours.shown(image)
        return images.to_image(image)

    def snapshot(self, step: int, image: Tensor) -> Image.Image:
        """Writes, logs and returns the image (3, H, W) after ``step`` updates."""
        picture = self.picture(image)
        self.log_picture("snapshot", self.folder.snapshot(step, picture), step)
        return picture

    def log_picture(self, key: str, path: Any, step: int) -> None:
        """Logs a picture to every logger that takes pictures."""
        for logger in self.loggers:
            if hasattr(logger, "log_image"):
                logger.log_image(key, [os.fspath(path)], step=step, caption=[f"step {step}"])

    def log_measures(self, measures: Mapping[str, float], step: int) -> None:
        """Logs metrics of the image after ``step`` updates."""
        for logger in self.loggers:
            found = {f"measure/{name}": value for name, value in measures.items()}
            logger.log_metrics(found, step=step)

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes a checkpoint."""
        checkpoint_file.save(self.folder.path, checkpoint)

    def complete(
        self, final: Image.Image, measures: Mapping[str, float], early: Departure | None = None
    ) -> None:
        """Ends the run with its result.

        Args:
            final: the result.
            measures: its metrics.
            early: why and with which image it ended before the last step; None: it did not.
        """
        last = self.rows[-1]
        step = int(last["step"])
        row, facts = last, {}
        if early is not None:
            row = self._row(early.best.step)
            self.folder.snapshot(early.best.step, final)  # trackers have it as the final picture
            facts = {"reached": early.reason, "best_step": early.best.step}
        self.log_picture("final", self.folder.final(final), step)
        if self.run.config.wraps:
            self.log_picture("tiled", self.folder.tiled(images.tiled(final)), step)
        self.log_measures(measures, step)
        self.folder.update(
            status=COMPLETED,
            seconds=last["seconds"],
            steps=step,
            losses=_losses(row),
            measures=dict(measures),
            **facts,
        )
        checkpoint_file.remove(self.folder.path)
        self.ended = True
        for logger in self.loggers:
            logger.finalize("success")

    def depart(self, departure: Departure) -> None:
        """Ends a run that left its batch because it diverged or was pruned."""
        loss, best_step, image = departure.best
        diverged = departure.why is Why.DIVERGED
        step = int(self.rows[-1]["step"])
        facts: dict[str, Any] = {}
        if math.isfinite(loss) or best_step > 0:
            self.log_picture("best", self.folder.best(self.picture(image)), step)
            facts = {"best_step": best_step, "losses": _losses(self._row(best_step))}
        seconds = self.rows[-1]["seconds"]
        status = DIVERGED if diverged else PRUNED
        self.folder.update(
            status=status, reason=departure.reason, steps=step, seconds=seconds, **facts
        )
        checkpoint_file.remove(self.folder.path)  # it would only diverge again
        for logger in self.loggers:
            logger.finalize("failed" if diverged else "success")
        kind = DivergedError if diverged else PrunedError
        self.ended, self.error = True, kind(departure.reason)

    def _row(self, step: int) -> dict[str, float]:
        return next((row for row in self.rows if row["step"] == step), {})

    def interrupt(self, by: str, step: int) -> None:
        """Ends the run as interrupted; it can be resumed.

        Args:
            by: the signal's name, or ``the Trainer``.
            step: updates so far.
        """
        text = f"stopped by {by} after {step} steps"
        self.folder.update(status=INTERRUPTED, reason=text, steps=step)
        for logger in self.loggers:
            logger.finalize("aborted")  # the Trainer would say "success"

    def fail(self, error: BaseException) -> None:
        """Ends an unfinished run with an error, in its folder and its loggers."""
        if self.ended:
            return
        failed = isinstance(error, Exception)
        with suppress(OSError):  # the error may be a full disk
            status = FAILED if failed else INTERRUPTED
            self.folder.update(status=status, reason=reason(error), steps=len(self.rows))
        for logger in self.loggers:
            with suppress(Exception):  # the error may be the logger's
                logger.finalize("failed" if failed else "aborted")


def _losses(row: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name.startswith("loss/")}


def _resized(picture: Picture, shape: tuple[int, int]) -> Image.Image:
    return images.to_image(images.to_tensor(picture, *shape))
