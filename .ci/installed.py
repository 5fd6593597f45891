"""Tries a wheel or an sdist in a clean environment, on any system: ``installed.py FOLDER SUFFIX``.

Installs the one file of the folder with this suffix, such as ``.whl``, with its dependencies in a
new virtual environment, and runs commands of it in an empty folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

# CPU: of Apple's GPUs, those of the runners have too little memory
TINY = ["image.size=32", "steps=2", "trainer.accelerator=cpu"]


def main() -> None:
    """Raises ``CalledProcessError`` or ``AssertionError`` if anything differs from a checkout."""
    folder, suffix = sys.argv[1:]
    (file,) = (path.resolve() for path in Path(folder).iterdir() if path.name.endswith(suffix))
    version = file.name.removesuffix(suffix).split("-")[1]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        environment, work = Path(home, "venv"), Path(home, "work")
        venv.create(environment, with_pip=True)
        work.mkdir()
        scripts = environment / ("Scripts" if os.name == "nt" else "bin")

        def run(*command: str, status: int = 0, **extra: str) -> str:
            print("$", *command, flush=True)
            found = subprocess.run(
                [str(scripts / command[0]), *command[1:]],
                cwd=work,
                env={
                    **{key: os.environ[key] for key in os.environ if key != "PYTHONPATH"},
                    **extra,
                },
                stdout=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                check=False,
            )
            print(found.stdout, flush=True)
            assert found.returncode == status, f"status {found.returncode}"
            return found.stdout

        run("python", "-m", "pip", "install", "--quiet", str(file))
        assert run("nst", "--version") == run("nst-report", "--version") == f"nst {version}\n"
        run("nst", "--help")
        run("nst", "--nosuch", status=2)
        assert "schedule=octaves" in run("nst", "-sc", "query=bash", COMP_LINE="nst schedule=")
        single = run("nst", *TINY, "logger=none").splitlines()[-1]
        assert (work / single / "final.png").exists()
        run("nst", *TINY, "init=noise")  # with W&B, offline
        run("nst", "-m", *TINY, "logger=none", "hydra/launcher=vectorized", "init=noise,content")
        local = ["hydra/launcher=local", "hydra.launcher.processes=2"]
        run("nst", "-m", *TINY, "logger=none", "init=noise", "seed=1,2", *local)
        run("nst", *TINY, "logger=none", "+experiments=two_noises", "seed=0")
        for command in ("report", "compare"):
            page = run("nst-report", command).splitlines()[-1]
            assert (work / page).exists()


if __name__ == "__main__":
    main()
