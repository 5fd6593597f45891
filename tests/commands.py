"""The commands in processes of their own, without the seconds that their imports take.

The standard library's fork server imports once what a command imports, and each process is a fork
of it: with its own folder, environment, output and end, as a user's would be. What has to be begun
from nothing, since the start is what is tested, a test starts by itself.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_PRELOADED = [
    "nst.report.main",
    "nst.report.page",
    "nst.sweep_table",
    "nst.vectorized",
    "skimage.metrics",
    "torch._dynamo",
]
"""What takes long to import; not W&B, which would give all processes one folder for its files."""

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(_PRELOADED)


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
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        told = (module, list(arguments), str(cwd), dict(environment), str(out), str(err))
        process = _server.Process(target=_begin, args=told)
        process.start()
        process.join()
        assert process.exitcode is not None
        return subprocess.CompletedProcess(
            [module, *arguments], process.exitcode, out.read_text(), err.read_text()
        )


def _begin(
    module: str, arguments: list[str], cwd: str, environment: dict[str, str], out: str, err: str
) -> None:
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # a fork would leave them out
