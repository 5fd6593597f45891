"""A wheel installed elsewhere runs from any folder, configs included."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

from tests.commands import COMMAND

ROOT = Path(__file__).parents[2]
COMMANDS = """
import runpy, sys
import nst
"""
COMMANDS += COMMAND
COMMANDS += """
print(nst.__file__, flush=True)
tiny = ["image.size=32", "steps=2", "logger=none"]
command("nst", *tiny, "init=noise", "layers.style=[conv2_1]")
command("nst", *tiny, "+experiments=two_noises", "seed=0", "hydra/launcher=vectorized")
command("nst.cli.report")
"""


def test_wheel(tmp_path: Path) -> None:
    def run(*command: str, cwd: Path, **environment: str) -> str:
        clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        ended = subprocess.run(
            command,
            cwd=cwd,
            env={**clean, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    pip = [sys.executable, "-m", "pip"]
    run(*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), ".", cwd=ROOT)
    (wheel,) = tmp_path.glob("nst-*.whl")
    # A fresh environment that sees this one's dependencies but not the checkout.
    home = tmp_path / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    (site,) = home.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:  # all that pip would do, but for the commands
        archive.extractall(site)
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    # by path, after the environment's own: editable installs are .pth files, which this skips
    environment = {"PYTHONPATH": os.pathsep.join([str(site), *dependencies])}
    printed = run(str(python), "-c", COMMANDS, cwd=elsewhere, **environment).splitlines()
    assert str(site) in printed[0]
    assert (elsewhere / printed[1] / "final.png").exists()
    report = printed[-1]
    assert "Reconstruction from different noises" in (elsewhere / report).read_text()
    assert "nst = nst.cli.main:main" in next(site.glob("nst-*/entry_points.txt")).read_text()
