"""The command ``nst-report measure``: records the metrics of pictures of other programs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from nst import images
from nst.cli.options import Parser, add_outputs
from nst.config.messages import BAD_INPUT, exit_status, one_line
from nst.images import Picture, colour
from nst.images.decode import FORMATS, decode
from nst.utils.errors import ConfigError, NstError, listed, printable
from nst.utils.files import escaped, shown


def measure(arguments: Sequence[str]) -> int:
    """Runs ``nst-report measure`` with these arguments. Returns the exit status."""
    options = _options(arguments)
    if options.content is None and options.style is None:
        text = "give --content, --style or both: the metrics compare the pictures with them"
        print(f"nst-report: {text}", file=sys.stderr)
        return BAD_INPUT
    try:
        return _measure(options)
    except (NstError, OSError) as error:
        print(f"nst-report: {one_line(error)}", file=sys.stderr)
        return exit_status(error)
    except KeyboardInterrupt:
        text = "interrupted: run the same command again for the remaining pictures"
        print(f"nst-report: {text}", file=sys.stderr)
        return 130


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        "nst-report measure",
        description="Measures the pictures of a folder, whatever program made them, with the "
        "metrics of every run, and records them beside the runs in OUTPUTS/runs.",
    )
    parser.add_argument("folder", metavar="FOLDER", help="with the pictures, not in subfolders")
    for name in ("content", "style"):
        parser.add_argument(
            f"--{name}",
            metavar=f"FILE | {images.BUILTIN}NAME",
            help=f"the {name} picture that they were made from; one of the two may be omitted",
        )
    parser.add_argument(
        "--name", metavar="PROGRAM", help="of the program that made them (the folder's name)"
    )
    add_outputs(parser)
    return parser.parse_args(arguments)


def _measure(options: argparse.Namespace) -> int:
    folder = Path(options.folder)
    if not folder.is_dir():
        raise ConfigError("FOLDER", options.folder, "no such folder")
    program = folder.resolve().name if options.name is None else options.name
    if not program.strip():
        raise ConfigError("--name", program, "give the name of the program that made the pictures")
    typed = {"content": options.content, "style": options.style}
    paths = {name: path for name, path in typed.items() if path is not None}
    inputs = {name: images.load(path, f"--{name}") for name, path in paths.items()}
    from nst.runner.measured import Measuring  # seconds to import: wrong paths are reported before

    measuring = Measuring(Path(options.outputs), escaped(program), paths, inputs)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    found: list[tuple[Path, bool]] = []
    skipped = 0
    files = sorted(each for each in folder.iterdir() if _may_be_picture(each))
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        for file in bar.track(files, description="measuring"):
            try:
                result = Picture(file.stem, colour.on_white(decode(file)))
            except (ValueError, PermissionError) as error:
                _say(console, f"warning: {shown(file)}: {error}")
                continue
            try:
                found.append(measuring.record(result, file.name))
            except ConfigError:
                raise
            except NstError as error:
                _say(console, f"skipped: {shown(file)}: {error}")
                skipped += 1
    if not found and not skipped:
        raise ConfigError("FOLDER", options.folder, f"has no picture: {listed(FORMATS)}")
    new = sum(measured for _, measured in found)
    counts = {"measured": new, "measured before": len(found) - new, "skipped": skipped}
    texts = (f"{count} {what}" for what, count in counts.items() if count)
    _say(console, f"pictures: {', '.join(texts)}")
    for path, _ in found:
        print(shown(path))
    return 1 if skipped else 0


def _may_be_picture(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def _say(console: Console, text: str) -> None:
    console.print(f"nst-report: {printable(escaped(text))}", markup=False)
