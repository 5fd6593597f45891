"""The flags of Hydra's parser, such as ``--cfg``, as ``nst`` has them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra._internal.utils import get_args_parser

from nst.cli.options import VERSION, Parser


def check(arguments: Sequence[str]) -> None:
    """Answers ``--version``, and refuses in one line the flags that Hydra would in eight.

    Raises:
        SystemExit: then.
    """
    parser = Parser("nst", parents=[get_args_parser()], add_help=False, conflict_handler="resolve")
    parser.lists = "--hydra-help"
    parser.add_argument("--version", action="version", version=VERSION)
    parser.parse_args(arguments)


@contextmanager
def parsing() -> Iterator[None]:
    """Lets Hydra make its parser on Python 3.14, which Hydra 1.3 cannot.

    One of its flags has a help text that is made when it is printed. ``argparse`` of Python 3.14
    checks each text before, and refuses what is no string.
    """
    parser: Any = argparse.ArgumentParser
    checked = hasattr(parser, "_check_help")
    if checked:
        parser._check_help = lambda *_: None  # instead of the inherited one
    try:
        yield
    finally:
        if checked:
            del parser._check_help
