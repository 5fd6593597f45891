"""Builds the site: ``python -m docs.site [FOLDER]``, which is ``make docs``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from docs.site.stage import ROOT, stage


def main(arguments: list[str]) -> int:
    """Builds the site in a folder (``build``) and prints its path. Returns the exit status.

    Any warning fails the build: of a link, of an anchor, or of a docstring.
    """
    folder = Path(arguments[0]) if arguments else ROOT / "build"
    config = stage(folder.resolve())
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    ended = subprocess.run(
        [*command, "--config-file", str(config)],
        cwd=ROOT,  # where mkdocstrings finds the package
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(ended.stdout, end="")
    # --strict does not count what mkdocstrings logs
    if ended.returncode or "warning" in ended.stdout.lower() or "error" in ended.stdout.lower():
        print("docs.site: the site has warnings, see above", file=sys.stderr)
        return 1
    print(config.parent / "site" / "index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
