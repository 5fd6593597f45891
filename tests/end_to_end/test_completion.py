"""Shell completion in a real bash, in a terminal, by the Tab key."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import LIMIT

BASH = shutil.which("bash")
PROMPT = "ready> "
NO_BASH = "there is no bash"


class Bash:
    """An interactive bash in a terminal of its own, with the commands of this environment.

    Args:
        cwd: the folder that it begins in.
    """

    def __init__(self, cwd: Path) -> None:
        self._terminal, theirs = pty.openpty()
        self._unread = ""
        search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        settings = cwd / ".inputrc"
        settings.write_text("set enable-bracketed-paste off\nset show-all-if-ambiguous on\n")
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=cwd,
            env={
                **os.environ,
                "PATH": search,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "PS1": PROMPT,
                "INPUTRC": str(settings),
                "TERM": "dumb",
            },
            start_new_session=True,
        )
        os.close(theirs)
        self.read_until(PROMPT)

    def type(self, keys: str) -> None:
        """Presses keys."""
        os.write(self._terminal, keys.encode())

    def read_until(self, text: str) -> str:
        """What the terminal shows, up to the text. What comes after it waits for the next call."""
        deadline = time.monotonic() + LIMIT
        while text not in self._unread:
            assert time.monotonic() < deadline, self._unread
            ready, _, _ = select.select([self._terminal], [], [], 1)
            if ready:
                self._unread += os.read(self._terminal, 65536).decode()
        before, found, self._unread = self._unread.partition(text)
        return before + found

    def close(self) -> None:
        """Ends the shell."""
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)


@pytest.fixture
def bash(tmp_path: Path) -> Iterator[Bash]:
    if BASH is None:
        if os.environ.get("CI"):
            pytest.fail(NO_BASH)
        pytest.skip(NO_BASH)
    (tmp_path / "photo.jpg").touch()
    shell = Bash(tmp_path)
    shell.type('eval "$(nst -sc install=bash)" && echo installe""d\n')
    shell.read_until("installed\r\n")
    shell.read_until(PROMPT)
    yield shell
    shell.close()


def test_completion(bash: Bash) -> None:
    """A group's name, its options, a key, its value, and a file."""
    for typed, completed in (
        ("nst schedule=oc", "schedule=octaves"),
        ("nst image.si", "image.size="),
        ("nst image.size=", "image.size=256"),
        ("nst +experiments=noise_or", "+experiments=noise_or_content"),
        ("nst -m hydra/launcher=vectorized_sl", "hydra/launcher=vectorized_slurm"),
        ("nst content.path=./ph", "content.path=./photo.jpg"),
    ):
        bash.type(f"{typed}\t")
        bash.read_until(completed)
        bash.type("\x15")  # the line is removed
    bash.type("nst sch\t")
    bash.read_until("schedule")
    bash.type("=\t")
    shown = bash.read_until("schedule=single")
    options = ("octaves", "pyramid", "quick", "single")
    listed = [word for word in shown.split() if word.startswith("schedule=") and word[-1] != "="]
    assert listed == [f"schedule={name}" for name in options]
