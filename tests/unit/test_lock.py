"""The lock of run folders: between processes, after a kill, and between machines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import Timeout

from nst.utils import lock as module
from nst.utils.lock import lock

HOLD = """
import sys, time
from pathlib import Path
from nst.utils.lock import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def _holder(path: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_another_process_has_it_until_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "a, b=c [é].lease"
    process = _holder(path)
    own = lock(path)
    with pytest.raises(Timeout):
        own.acquire(blocking=False)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert path.exists()
    with own:  # at once: its process is known to be dead
        assert own.is_locked
    assert not path.exists()
    process.communicate()


def _of_another_machine(path: Path) -> None:
    """Makes the file say that another machine has the lock."""
    with lock(path):
        lines = path.read_text().splitlines()
    changed = ["host=elsewhere" if line.startswith("host=") else line for line in lines]
    assert changed != lines
    path.write_text("".join(f"{line}\n" for line in changed))


def test_another_machine_is_trusted_until_it_stops_renewing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEASE", 0.5)
    path = tmp_path / ".lease"
    _of_another_machine(path)
    own = lock(path)
    began = time.monotonic()
    while time.monotonic() - began < 1:  # renewed, so that it is alive
        os.utime(path)
        with pytest.raises(Timeout):
            own.acquire(blocking=False)
        time.sleep(0.05)
    own.acquire(timeout=30)
    own.release()


def test_the_owner_hears_of_a_takeover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "LEASE", 0.3)
    path = tmp_path / ".lease"
    with lock(path):
        lines = path.read_text().splitlines()
        path.unlink()
        path.write_text("".join(f"{line}\n".replace("token=", "token=0") for line in lines))
        deadline = time.monotonic() + 30
        while not caplog.messages and time.monotonic() < deadline:
            time.sleep(0.05)
    assert f"another process took over {path}" in caplog.text
