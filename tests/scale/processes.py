"""Servers that run for a while, and commands that are repeated until they succeed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

WAIT = 90.0
"""Seconds until a server that does not answer has failed."""

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
"""Where servers are, too."""


def free_ports(count: int) -> list[int]:
    """Ports that are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return found


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], log: IO[bytes]
) -> Iterator[None]:
    """Runs a server; ends it and its children."""
    process = subprocess.Popen(
        [shutil.which(command[0], path=PATH) or command[0], *command[1:]],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        yield
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run(folder: Path, environment: Mapping[str, str], command: Sequence[str]) -> str:
    """Runs a command to its end.

    Returns:
        Its output.

    Raises:
        RuntimeError: if it fails, with its errors.
    """
    ended = subprocess.run(
        [shutil.which(command[0], path=PATH) or command[0], *command[1:]],
        check=False,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=folder,
    )
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)}: {ended.stderr.strip() or ended.stdout.strip()}")
    return ended.stdout


def until(
    folder: Path, environment: Mapping[str, str], command: Sequence[str], expected: str = ""
) -> None:
    """Repeats a command until it succeeds, and prints what is expected.

    Raises:
        RuntimeError: if it does not within ``WAIT`` seconds, with the ends of the logs.
    """
    deadline, problem = time.monotonic() + WAIT, ""
    while time.monotonic() < deadline:
        try:
            problem = run(folder, environment, command).strip()
            if expected in problem:
                return
        except RuntimeError as error:
            problem = str(error)
        time.sleep(0.5)
    logs = [path for path in folder.glob("*.log") if path.stat().st_size]
    ends = [f"{path.name}: {path.read_text(errors='replace')[-1000:]}" for path in logs]
    raise RuntimeError("\n".join([problem, *ends]))


def said(text: str) -> None:
    """Prints what was found, with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
