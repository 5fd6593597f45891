"""A Ray cluster of two nodes on this machine, with an address each."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.scale.processes import free_ports, running, until

RAY = Path(sys.executable).with_name("ray")
ADDRESSES = ("127.0.0.1", "127.0.0.2")
SMALL = ("--object-store-memory=100000000", "--disable-usage-stats")


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Starts the cluster.

    Args:
        folder: for its files; empty. Its path must be short: Ray puts sockets there.

    Yields:
        What its commands need in the environment.

    Raises:
        RuntimeError: if a node does not start.
    """
    (port,) = free_ports(1)
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    environment = {
        "RAY_ADDRESS": f"{ADDRESSES[0]}:{port}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    first = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}/r"]
    with (folder / "ray.log").open("wb") as log, ExitStack() as nodes:
        for address in ADDRESSES:
            place = first if address == ADDRESSES[0] else [f"--address={ADDRESSES[0]}:{port}"]
            own = ["--block", f"--node-ip-address={address}", "--num-cpus=1", *SMALL]
            command = [str(RAY), "start", *place, *own]
            # RAY_ADDRESS would have the head join itself
            nodes.enter_context(running(command, {**environment, "RAY_ADDRESS": ""}, log))
            started = ["status", f"--address={ADDRESSES[0]}:{port}"]
            until(folder, environment, [str(RAY), *started])
        yield environment
