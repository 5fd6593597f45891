"""A wheel installed elsewhere runs from any folder, configs included."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]


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
    target = ["install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    run(*pip, *target, cwd=tmp_path)
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    # by path, after the environment's own: editable installs are .pth files, which this skips
    environment = {"PYTHONPATH": os.pathsep.join([str(site), *dependencies])}
    where = run(str(python), "-c", "import nst; print(nst.__file__)", cwd=elsewhere, **environment)
    assert str(site) in where
    tiny = ["image.size=32", "steps=2", "logger=none", "init=noise", "layers.style=[conv2_1]"]
    script = [str(python), "-m", "nst", *tiny]
    folder = run(*script, cwd=elsewhere, **environment).strip()
    assert (elsewhere / folder / "final.png").exists()
    batch = ["+experiments=two_noises", "seed=0", "hydra/launcher=vectorized"]
    run(*script, *batch, cwd=elsewhere, **environment)
    report = run(str(python), "-m", "nst.report", cwd=elsewhere, **environment).strip()
    assert "Reconstruction from different noises" in (elsewhere / report).read_text()
    assert "nst = nst.main:main" in next(site.glob("nst-*/entry_points.txt")).read_text()
