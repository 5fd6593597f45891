"""What tests of runs in this process may use."""

from __future__ import annotations

import pytest

from nst.runs import resolve
from tests.helpers import tiny


@pytest.fixture
def tiny_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every config, whatever source it names, resolves to the weights ``tiny``."""
    monkeypatch.setattr(resolve, "_load_weights", lambda *given: tiny())
