"""Workers of another launcher may run in another folder, as those of Ray do."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.utils import JobReturn
from PIL import Image

from nst.cli.main import invoke
from nst.sweeps import sweep_folder

pytestmark = pytest.mark.usefixtures("tiny_backbone")


class Elsewhere(BasicLauncher):
    """Runs its jobs in ``elsewhere``."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        here = Path.cwd()
        (here / "elsewhere").mkdir(exist_ok=True)
        os.chdir(here / "elsewhere")
        try:
            return super().launch(job_overrides, initial_job_idx)
        finally:
            os.chdir(here)


def test_names_are_relative_to_the_folder_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["nst"])
    Image.new("RGB", (40, 40), (200, 90, 0)).save("photo.png")
    over = f"hydra.launcher.over={{_target_:{__name__}.Elsewhere}}"
    tiny = ("image.size=32", "steps=1", "logger=none", "layers.style=[conv1_1]")
    own = ("layers.content=[conv2_1]", "content.path=photo.png", "init=noise", "seed=0,1")
    assert invoke(["-m", "hydra/launcher=vectorized", over, *tiny, *own]) == 0
    (sweep,) = Path("outputs/sweeps").iterdir()
    folders = [each.folder for each in sweep_folder.outcomes(sweep)]
    assert sorted(Path("outputs/runs").iterdir()) == sorted(
        each.relative_to(Path.cwd()) for each in folders if each
    )
    assert len(folders) == 2
    assert list(Path("elsewhere").iterdir()) == []
