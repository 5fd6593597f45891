"""What the parsers of ``nst`` and ``nst-report`` have in common."""

from __future__ import annotations

import argparse
from typing import NoReturn

from nst import __version__
from nst.config.messages import BAD_INPUT
from nst.utils.errors import printable

VERSION = f"nst {__version__}"


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage of ``argparse``.

    Attributes:
        lists: the option that lists all others.
    """

    lists = "--help"

    def error(self, message: str) -> NoReturn:
        """Ends the command with the exit status of bad input."""
        text = f"{self.prog}: {message}; see {self.prog} {self.lists}"
        self.exit(BAD_INPUT, f"{printable(text)}\n")


def add_config_dir(parser: argparse.ArgumentParser) -> None:
    """Adds ``--config-dir``."""
    parser.add_argument(
        "--config-dir",
        metavar="DIR",
        help="a folder with more experiments, in its subfolder experiments/",
    )


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """Adds ``--outputs``."""
    parser.add_argument("--outputs", default="outputs", help="root folder of the runs (outputs)")
