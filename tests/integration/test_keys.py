"""Runs with equal signatures have equal pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from nst.config.keys import keys
from nst.config.schema import Affects
from tests.altered_keys import ALTERED, SMALL, TINY
from tests.helpers import execute, prepared

pytestmark = pytest.mark.usefixtures("tiny_backbone", "vgg16_file")

SAFE = [
    name
    for name, key in keys().items()
    if key.affects != Affects.RESULT and not name.startswith("run.")
]


def test_equal_signatures_mean_equal_pictures(tmp_path: Path) -> None:
    """Whatever else is changed of a run: bit for bit, but for what rounds in another order."""
    rounds = {"compile", "backbone.tiling"}
    plain = _picture(tmp_path / "plain", "")
    for name in SAFE:
        if name in rounds | {"outputs", "retry"}:
            continue
        change = ALTERED[name][1]
        assert _picture(tmp_path / name, change) == plain, name
    assert _picture(tmp_path / "other", ALTERED["weights.style"][1]) != plain


def _picture(outputs: Path, change: str) -> bytes:
    (folder,) = execute([prepared(*TINY, *SMALL, *change.split(), f"outputs={outputs}")])
    return (folder / "final.png").read_bytes()
