"""The commands in processes of their own, without the seconds that their imports take.

The standard library's fork server imports ``tests.preloaded`` once, and each process is a fork of
it: with its own folder, environment, output and end, as a user's would be. What has to be begun
from nothing, since the start is what is tested, a test starts by itself.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

COMMAND = """
def command(*words):
    sys.argv = [*words]
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        assert not ended.code, words
"""
"""Runs a command, in a script of several: the imports of each would take ten seconds."""

LIMIT = 300
"""Seconds after which what a test waits for counts as hung: none takes a tenth of it on its own."""

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["tests.preloaded"])


def wait_until(done: Callable[[], object], process: Process | subprocess.Popen[str]) -> None:
    """Waits until ``done`` is true or the process has ended.

    Raises:
        TimeoutError: after ``LIMIT``.
    """
    deadline = time.monotonic() + LIMIT
    while not done() and process.poll() is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done after {LIMIT} s")
        time.sleep(0.01)


def run(
    module: str, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Runs ``python -m module arguments…`` to its end.

    Args:
        module: what to run.
        arguments: its own.
        cwd: the folder to run it in.
        environment: all of it.
    """
    process = Process(module, arguments, cwd, environment)
    out, err = process.communicate()
    assert process.returncode is not None
    return subprocess.CompletedProcess([module, *arguments], process.returncode, out, err)


class Process:
    """A command that was started, with the methods of ``subprocess.Popen`` that tests use.

    Args:
        module: what to run.
        arguments: its own.
        cwd: the folder to run it in.
        environment: all of it.
        terminal: that controls it, and shows what it writes; None: files keep that.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str],
        terminal: str | None = None,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._files = [Path(self._folder.name, name) for name in ("out", "err")]
        for file in self._files:
            file.touch()
        out, err = map(str, self._files) if terminal is None else (terminal, terminal)
        told = (module, list(arguments), str(cwd), dict(environment), out, err)
        self._process = _server.Process(target=_begin, args=told)
        self._process.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self.returncode

    def wait(self, timeout: float = LIMIT) -> int:
        """Waits for its end, at most so many seconds; its exit status."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Sends it a signal; nothing happens if it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it at once."""
        self.send_signal(signal.SIGKILL)

    def communicate(self) -> tuple[str, str]:
        """Waits for its end; all that it wrote. One that does not end is killed."""
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        out, err = (file.read_text() for file in self._files)
        return out, err

    @property
    def stderr(self) -> Iterator[str]:
        """Its lines, as they are written, to its end."""
        with self._files[1].open() as file:
            rest = ""
            while True:
                running = self.poll() is None
                rest += file.read()
                *lines, rest = rest.split("\n")
                yield from lines
                if not running:
                    return
                time.sleep(0.01)


def _begin(
    module: str, arguments: list[str], cwd: str, environment: dict[str, str], out: str, err: str
) -> None:
    os.setsid()  # so that a terminal that is opened controls the process
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
    if os.isatty(1):  # which is no file that can be sought in, as what the streams had before is
        os.dup2(1, 0)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # a fork would leave them out
