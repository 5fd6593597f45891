"""What every test has."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# a process per core, each with one thread: several threads in several processes would stall
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

# a shell has its background jobs ignore Ctrl-C, and so would all that tests interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("quick", max_examples=20)
settings.register_profile("thorough", max_examples=1000)
settings.load_profile("quick")

TESTS = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before pytest deselects by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its folder; give a slow one more time before it counts as hung."""
    for item in items:
        item.add_marker(item.path.relative_to(TESTS).parts[0])
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(3600))


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
