"""What every test has."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("quick", max_examples=20)
settings.register_profile("thorough", max_examples=1000)
settings.load_profile("quick")


@pytest.fixture(autouse=True)
def own_wandb_process() -> Iterator[None]:
    """W&B's own process ends with the test that began it: commands of others would go on in it."""
    yield
    if "WANDB_SERVICE" in os.environ:
        import wandb  # here, since most tests have no use for it

        wandb.teardown()
