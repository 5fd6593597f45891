"""What every test has."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def own_wandb_process() -> Iterator[None]:
    """W&B's own process ends with the test that began it: commands of others would go on in it."""
    yield
    if "WANDB_SERVICE" in os.environ:
        import wandb  # here, since most tests have no use for it

        wandb.teardown()
