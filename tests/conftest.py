"""What every test has."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# a process per core, each with one thread: several threads in several processes would stall
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

settings.register_profile("quick", max_examples=20)
settings.register_profile("thorough", max_examples=1000)
settings.load_profile("quick")


@pytest.fixture(scope="session", autouse=True)
def compositions() -> Iterator[None]:
    """Hydra reads each config file once; in processes of their own, commands read as for users."""
    from tests.compositions import remembered  # here, since torch is not to be imported above

    with remembered():
        yield


@pytest.fixture(autouse=True)
def own_wandb_process() -> Iterator[None]:
    """W&B's own process ends with the test that began it: commands of others would go on in it."""
    yield
    if "WANDB_SERVICE" in os.environ:
        import wandb  # here, since most tests have no use for it

        wandb.teardown()
