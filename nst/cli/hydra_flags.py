"""The flags of Hydra's parser, such as ``--cfg``, as ``nst`` has them."""

from __future__ import annotations

from collections.abc import Sequence

from hydra._internal.utils import get_args_parser

from nst.cli.options import VERSION, Parser
from nst.sweeps.launch import parsing


def check(arguments: Sequence[str]) -> None:
    """Answers ``--version``, and refuses in one line the flags that Hydra would in eight.

    Raises:
        SystemExit: then.
    """
    with parsing():
        hydras = get_args_parser()
    parser = Parser("nst", parents=[hydras], add_help=False, conflict_handler="resolve")
    parser.lists = "--hydra-help"
    parser.add_argument("--version", action="version", version=VERSION)
    parser.parse_args(arguments)
