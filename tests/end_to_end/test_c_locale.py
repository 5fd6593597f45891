"""The commands where the default encoding is ASCII: nothing of ours depends on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

from tests.commands import COMMAND

COMMANDS = """
import os, runpy, sys, warnings

ours = r"(nst|hydra_plugins)\\b"
warnings.filterwarnings("error", category=EncodingWarning, module=ours)
"""
COMMANDS += COMMAND
COMMANDS += """
tiny = ["image.size=32", "steps=2", "snapshot_every=2", "init=noise"]
command("nst", *tiny, "content.path=" + os.fsdecode(b"caf\\xc3\\xa9.png"))
command("nst", "+experiments=two_noises", *tiny[:3], "logger=none", "hydra/launcher=vectorized")
command("nst.cli.report")
command("nst.cli.report", "compare")
command("nst.cli.report", "compare", "--help")
"""


def test_c_locale(tmp_path: Path) -> None:
    """A text file without an encoding would be an error, also where its text is plain."""
    (tmp_path / "commands.py").write_text(COMMANDS)
    Image.new("RGB", (40, 40), "red").save(tmp_path / "café.png")
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ended = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "commands.py"],
        cwd=tmp_path,
        env={**os.environ, **locale, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Logging error" not in ended.stderr
    (single,) = (tmp_path / "outputs/runs").glob("*-caf*")
    assert "caf" in (single / "config.yaml").read_text(encoding="utf-8")
    assert r"NAME | KEY=VALUE" in ended.stdout
    assert (tmp_path / "outputs/report/index.html").exists()
    assert (tmp_path / "outputs/compare/index.html").exists()
