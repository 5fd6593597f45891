"""The command ``nst-report vote``: takes votes on which of two results is better."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from nst.cli.options import Parser, add_outputs
from nst.config.messages import exit_status, one_line
from nst.runner import votes
from nst.utils.errors import ConfigError, NstError
from nst.utils.files import escaped


def vote(arguments: Sequence[str]) -> int:
    """Runs ``nst-report vote`` with these arguments. Returns the exit status."""
    options = _options(arguments)
    outputs = Path(options.outputs)
    try:
        if options.add is not None:
            _add(outputs, options.add, options.words)
            print(outputs / votes.FILE)
        else:
            from nst.compare.server import serve

            print(serve(outputs, [escaped(word) for word in options.words], options.port))
    except (NstError, OSError) as error:
        print(f"nst-report: {one_line(error)}", file=sys.stderr)
        return exit_status(error)
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        "nst-report vote",
        description="Serves the comparison page on this machine, to choose the better of two "
        "results at a time, and saves each vote in OUTPUTS/votes.jsonl at once.",
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="NAME | KEY=VALUE",
        help="which runs (all): as for nst-report compare",
    )
    parser.add_argument("--port", type=int, default=0, help="to listen on (0: any that is free)")
    parser.add_argument(
        "--add", metavar="FILE", help="only add the votes of a file that the page has made"
    )
    add_outputs(parser)
    return parser.parse_intermixed_args(arguments)


def _add(outputs: Path, file: str, words: Sequence[str]) -> None:
    """Adds the votes of a file.

    Raises:
        ConfigError: if the file cannot be read, or naming the first line that is no vote.
    """
    if words:
        raise ConfigError("--add", file, f"takes all votes of the file; remove {words[0]}")
    found = votes.load(Path(file))
    new = votes.add(outputs, found)
    text = f"votes: {new} added, {len(found) - new} known before"
    existing = votes.runs(outputs)
    if unknown := sum(not {vote.left, vote.right} <= existing for vote in found):
        text += f"; {unknown} of them do not count: their runs are not in {outputs / 'runs'}"
    print(f"nst-report: {text}", file=sys.stderr)
