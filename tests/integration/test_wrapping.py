"""Runs with circular padding: what they record and log, also of pictures that do not tile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from lightning.pytorch.loggers.logger import DummyLogger
from PIL import Image

from nst.runner.folder import RunFolder
from nst.runner.record import RunRecord
from nst.runner.replay import replay
from nst.runner.writer import RunWriter
from tests.helpers import execute, prepared

CIRCULAR = (
    *("backbone.padding=circular", "image.size=48", "steps=2", "snapshot_every=2", "style=waves"),
    *("logger=none", "+logger.kept._target_=tests.integration.test_wrapping.Kept"),
)


class Kept(DummyLogger):
    """A logger that keeps the pictures that it is given."""

    pictures: ClassVar[list[tuple[str, str, int]]] = []

    def log_image(self, key: str, images: Sequence[str], step: int, **kwargs: Any) -> None:
        self.pictures.extend((key, Path(path).name, step) for path in images)


def test_trackers_have_the_copies_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kept, "pictures", [])
    texture = ("task=texture_synthesis", "init=noise", f"outputs={tmp_path}")
    run = prepared(*CIRCULAR, *texture)
    (folder,) = execute([run])
    logged = list(Kept.pictures)
    assert logged[-2:] == [("final", "final.png", 2), ("tiled", "tiled.png", 2)]
    with Image.open(folder / "tiled.png") as image:
        assert image.size == (96, 96)
    Kept.pictures.clear()
    replay(RunWriter(run, RunFolder(folder), {}, [Kept()]))
    assert Kept.pictures == logged


def test_a_photo_is_measured_at_the_size_of_the_result(tmp_path: Path) -> None:
    """Its longer side is rounded: 73 px without, and 80 px here."""
    photo = tmp_path / "photo.png"
    Image.linear_gradient("L").convert("RGB").resize((73, 48)).save(photo)
    for padding, width in (("zeros", 73), ("circular", 80)):
        overrides = (f"content.path={photo}", f"backbone.padding={padding}")
        (folder,) = execute([prepared(*CIRCULAR, *overrides, f"outputs={tmp_path}")])
        record = RunRecord(folder)
        for name in ("final", "content"):
            path = record.picture(name)
            assert path is not None
            with Image.open(path) as image:
                assert image.size == (width, 48)
        assert {"psnr", "ssim"} <= record.measures.keys()
        assert ("seam" in record.measures) == record.wraps == (padding == "circular")
