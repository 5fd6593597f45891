"""The command line: exit status, messages, help."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.helpers import nst


@pytest.mark.parametrize(
    "overrides",
    [["layers.style=[conv_17]"], ["stepz=5"], ["init=random"], ["steps=[1"], ["steps=many"]],
    ids=" ".join,
)
def test_the_command_exits_with_2_and_leaves_nothing(overrides: list[str], tmp_path: Path) -> None:
    ended = nst(*overrides, cwd=tmp_path)
    assert ended.returncode == 2, ended.stderr
    assert ended.stdout == ""
    assert len(ended.stderr.strip().splitlines()) == 1
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_full_error_shows_the_traceback(tmp_path: Path) -> None:
    ended = nst("layers.style=[conv_17]", cwd=tmp_path, HYDRA_FULL_ERROR="1")
    assert "Traceback" in ended.stderr
    assert ended.returncode != 0


def test_help_and_cfg(tmp_path: Path) -> None:
    text = nst("--help", cwd=tmp_path).stdout
    for part in (
        "nst -m init=noise,content",
        "schedule: octaves, pyramid, quick, single",
        "image:",
        "--cfg job",
    ):
        assert part in text
    text = nst("--cfg", "job", cwd=tmp_path).stdout
    assert yaml.safe_load(text)["init"]["name"] == "content"
