"""``compile`` with the real compiler."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.helpers import nst, slow

LAYERS = ("layers.style=[conv1_1,conv1_2]", "layers.content=[conv1_2]")


HEADERS = Path(sysconfig.get_path("include")) / "Python.h"


@slow
@pytest.mark.skipif(
    not (shutil.which("g++") and HEADERS.is_file()) and not os.environ.get("CI"),
    reason="no C++ compiler with Python's headers",
)
def test_a_whole_run_by_the_real_compiler(tmp_path: Path) -> None:
    settings = [*LAYERS, "image.size=32", "steps=4"]
    totals = []
    for mode in ("null", "default"):
        words = [*settings, "precision=32", "force=true", "logger=none", f"compile={mode}"]
        # not a fork: compiling in one crashes now and then
        command = [sys.executable, "-m", "nst", *words]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        assert ("takes a while" in ended.stderr) == (mode == "default")
        folder = Path(ended.stdout.split()[-1])
        rows = csv.DictReader((tmp_path / folder / "metrics.csv").open(encoding="utf-8"))
        totals.append([float(row["loss/total"]) for row in rows])
    assert totals[1] == pytest.approx(totals[0], rel=1e-4)
    assert len(list((tmp_path / "outputs" / "runs").iterdir())) == 2  # of the same signature


def test_a_mode_that_there_is_not(tmp_path: Path) -> None:
    ended = nst("compile=reduce-overheads", cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith("nst: compile=reduce-overheads: allowed: default, reduce-ov")
