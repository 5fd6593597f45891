"""What differs on Windows and macOS, simulated here; ``docs/install.md`` lists what was tried."""

from __future__ import annotations

import ctypes
import io
import mimetypes
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path, PureWindowsPath
from typing import Any

import psutil
import pytest
import torch

from nst.cli.main import invoke, print_any_path
from nst.cli.report import report
from nst.compare.server import Handler
from nst.config import compose, named_files, schema
from nst.config.named_files import NamedFiles
from nst.runner import machine
from nst.sweeps import local, part_progress
from nst.sweeps.vectorized import memory
from nst.utils import allocator, files, own_process
from nst.utils.files import write_whole

ROOT = Path(__file__).parents[2]
DEVICES = ("nul", "CON", "com1", "aux.old")


@pytest.mark.parametrize("error", [TypeError, OSError, AttributeError])
def test_without_glibc(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: None) -> None:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", load)
    allocator.keep_freed_memory()
    allocator.give_back_freed_memory()


def _open_elsewhere(monkeypatch: pytest.MonkeyPatch, times: int) -> list[Path]:
    """Lets a file be replaced only after so many attempts, which it returns."""
    attempts: list[Path] = []
    replace = Path.replace

    def attempt(self: Path, target: Path) -> Path:
        attempts.append(self)
        if len(attempts) <= times:
            raise PermissionError(13, "Access is denied", str(self))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", attempt)
    return attempts


def test_a_file_that_is_open_elsewhere_is_replaced_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = _open_elsewhere(monkeypatch, 3)
    monkeypatch.setattr(sys, "platform", "win32")
    write_whole(tmp_path / "run.json", b"new")
    assert (tmp_path / "run.json").read_bytes() == b"new"
    assert len(attempts) == 4


@pytest.mark.parametrize(("system", "patience"), [("win32", 0.1), ("darwin", 60.0)])
def test_a_file_that_stays_open_is_an_error(
    system: str, patience: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On other systems at once: there the reason is another."""
    _open_elsewhere(monkeypatch, 1000)
    monkeypatch.setattr(files, "PATIENCE", patience)
    monkeypatch.setattr(sys, "platform", system)
    began = time.monotonic()
    with pytest.raises(PermissionError):
        write_whole(tmp_path / "run.json", b"new")
    assert time.monotonic() - began < 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("windows", [False, True])
def test_terminating_this_process_calls_its_handler(
    windows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the main thread; ``os.kill`` of Windows would end the process."""
    if windows:
        monkeypatch.delattr(signal, "pthread_kill")
    monkeypatch.delattr(os, "kill")
    threads: list[threading.Thread] = []
    before = signal.signal(signal.SIGTERM, lambda *_: threads.append(threading.current_thread()))
    try:
        other = threading.Thread(target=own_process.terminate)
        other.start()
        other.join()
        deadline = time.monotonic() + 30
        while not threads and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert threads == [threading.main_thread()]


def test_whether_a_worker_lives_is_found_without_a_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signal 0 is Ctrl-C on Windows, where psutil asks for the process in another way."""
    lease = tmp_path / "0.lease"
    lease.touch()
    monkeypatch.setattr(psutil, "pid_exists", lambda process: process == 7)
    monkeypatch.delattr(os, "kill")
    for process, held in ((7, True), (8, False)):
        worker = {"host": socket.gethostname(), "process": process}
        assert part_progress._is_held(lease, worker) is held
    assert part_progress._is_held(lease, {"host": "elsewhere", "process": 8})


def test_free_memory_without_files_of_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sysconf")
    monkeypatch.setattr(memory, "_control_groups", lambda: [])
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory)
    assert memory.available(torch.device("cpu")) == 123


class Memory:
    """As psutil has it."""

    available = 123


def test_facts_of_a_machine_without_files_of_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: Path, **_: Any) -> str:
        raise FileNotFoundError(self)

    monkeypatch.setattr(Path, "read_text", missing)
    expected = platform.processor() or platform.machine()
    assert machine.facts(torch.device("cpu"))["processor"] == expected != ""


def test_processes_without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(local.GPUS, "")
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert [place.cores for place in local.places(2, None)] == [(0, 1), (2, 3)]


def test_patterns_with_backslashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Path("photos/a.jpg").touch()
    assert files.matching(r"photos\*.jpg") == []
    monkeypatch.setattr(os, "sep", "\\")
    assert files.matching(r"photos\*.jpg") == [Path("photos/a.jpg")]


def test_paths_with_drives(monkeypatch: pytest.MonkeyPatch) -> None:
    names = NamedFiles("content.path", base="tables")
    assert names._at(r"C:\photos\a.jpg") == r"tables/C:\photos\a.jpg"
    monkeypatch.setattr(named_files, "PurePath", PureWindowsPath)
    assert names._at(r"C:\photos\a.jpg") == r"C:\photos\a.jpg"
    assert names._at("a.jpg") == "tables/a.jpg"


def test_paths_on_different_drives(monkeypatch: pytest.MonkeyPatch) -> None:
    def relpath(path: Path, start: Path) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    assert files.relative(Path("/a/b"), Path("/a/c")) == os.path.join("..", "b")  # noqa: PTH118
    monkeypatch.setattr(os.path, "relpath", relpath)
    assert files.relative(Path("/a/b"), Path("/a/c")) == "/a/b"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("compare.js", "text/javascript"), ("compare.css", "text/css"), ("1.webp", "image/webp")],
)
def test_types_of_files_are_not_those_of_a_registry(
    name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mimetypes, "guess_type", lambda *_, **__: ("text/plain", None))
    monkeypatch.setattr(mimetypes, "guess_file_type", lambda *_, **__: ("text/plain", None), False)
    assert Handler.guess_type(Handler.__new__(Handler), name) == kind


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("ascii", rb"a\u2026\u2192 b\xe9c" + b"\xff"),
        ("cp1252", b"a\x85\\u2192 b\xe9c\xff"),
        ("utf-8", "a…→ bé".encode() + b"c\xff"),
    ],
)
def test_standard_output_takes_any_text(
    encoding: str, written: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, newline=""))
    print_any_path()
    print("a…→ béc\udcff", end="", flush=True)
    assert raw.getvalue().decode("latin-1") == written.decode("latin-1")


@pytest.mark.parametrize("command", [invoke, report])
def test_a_checkout_without_links(
    command: Callable[[list[str]], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Git makes files of them on Windows, unless the user may make links."""
    (tmp_path / "experiments").write_text("../experiments")
    monkeypatch.setattr(compose, "conf_dir", lambda: str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["nst"])
    assert command([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"nst\S*: conf/experiments=\.\./experiments: a file in .*\n", err)


@pytest.mark.parametrize("name", DEVICES)
def test_studies_are_no_devices(name: str) -> None:
    study = schema.Config.__dataclass_fields__["study"].metadata
    key = next(value for value in study.values() if isinstance(value, schema.Key))
    assert key.valid is not None
    valid, _ = key.valid
    assert not valid(name)
    assert valid(f"{name[0]}-{name}")


def test_names_of_files_are_portable() -> None:
    """No characters or devices of Windows, and none that differ in case only."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("no checkout")
    names = listed.stdout.decode().split("\0")[:-1]
    assert len(names) == len({name.casefold() for name in names}) > 100
    for name in names:
        assert not re.search(r'[<>:"\\|?*\x00-\x1f]|[ .](/|$)', name), name
        assert not any(re.match(schema._DEVICE, part) for part in name.split("/")), name
