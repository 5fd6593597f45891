"""The command ``nst-report figure``: an experiment's table for a paper."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from nst.cli.options import add_config_dir, add_outputs
from nst.cli.report import declarations, run_experiments
from nst.config.messages import exit_status, one_line
from nst.config.overrides import quoted
from nst.reports.collect import collect
from nst.reports.figures.layout import CM, COLUMN, INCH, PAGE
from nst.reports.figures.make import FORMATS, Wanted, make
from nst.utils.errors import ConfigError, NstError, listed, printable

UNITS = {"cm": CM, "mm": CM / 10, "in": INCH, "pt": INCH / 72.27}
"""In points of 1/72 inch; ``pt`` is that of TeX, in which ``\\\\the\\\\columnwidth`` is."""

NARROWEST, WIDEST = 2 * CM, 100 * CM


def figure(arguments: Sequence[str]) -> int:
    """Runs ``nst-report figure`` with these arguments. Returns the exit status."""
    options = _options(arguments)
    overrides = [word for word in options.words if "=" in word]
    names = [word for word in options.words if "=" not in word]
    status = 0
    try:
        command = printable(shlex.join(["nst-report", "figure", *arguments]))
        wanted = _wanted(options, command)
        outputs = Path(options.outputs)
        known = declarations(options.config_dir)
        found = collect(outputs)
        _check(names, [*known] if options.run else [*dict.fromkeys([*known, *found])])
        if overrides and not options.run:
            raise ConfigError("override", overrides[0], "overrides are for --run")
        if options.run:
            fixed = [*overrides, f"outputs={quoted(options.outputs)}"]
            status = run_experiments(names, fixed, options.config_dir)
            found = collect(outputs)
        for name in names:
            if name not in found:
                problem = f"no run in {outputs / 'runs'}; nst-report figure --run {name} makes them"
                raise ConfigError("experiment", name, problem)
        folder = Path(options.output) if options.output else outputs / "figures"
        for name in names:
            made = make(found[name], wanted, folder)
            for remark in made.remarks:
                print(f"nst-report: {remark}", file=sys.stderr)
            print(*made.files, sep="\n")
    except (NstError, HydraException, OmegaConfBaseException) as error:
        print(f"nst-report: {one_line(error)}", file=sys.stderr)
        return exit_status(error)
    return status


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "nst-report figure",
        description="Makes the table of an experiment for a paper, from finished runs: "
        "OUTPUTS/figures/NAME.pdf, and NAME.tex with its pictures in the folder NAME.",
    )
    parser.add_argument(
        "words", nargs="+", metavar="NAME | KEY=VALUE", help="experiments, and overrides with --run"
    )
    parser.add_argument(
        "--format", default=",".join(FORMATS), metavar="FORMAT,…", help="pdf, tex or both (both)"
    )
    parser.add_argument(
        "--columns", type=int, choices=(1, 2), default=1, help="of the page, that it spans (1)"
    )
    parser.add_argument(
        "--width",
        metavar="LENGTH",
        help=f"of the figure, in {', '.join(UNITS)} "
        f"({COLUMN / CM:.1f}cm; {PAGE / CM:.1f}cm for two columns)",
    )
    parser.add_argument(
        "--metrics",
        default="loss",
        metavar="METRIC,…",
        help="below each picture, such as gram_distance; none: no numbers (loss)",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="KEY=VALUE,…",
        help="show only the runs with one of these values; repeat it for other keys",
    )
    parser.add_argument("--output", metavar="FOLDER", help="of the files (OUTPUTS/figures)")
    parser.add_argument("--run", action="store_true", help="run what is missing first")
    add_config_dir(parser)
    add_outputs(parser)
    return parser.parse_intermixed_args(arguments)


def _wanted(options: argparse.Namespace, command: str) -> Wanted:
    formats = list(dict.fromkeys(options.format.split(",")))
    for each in formats:
        if each not in FORMATS:
            problem = f"no such format; allowed: {listed(FORMATS)}"
            raise ConfigError("--format", each, problem)
    metrics = [] if options.metrics == "none" else list(dict.fromkeys(options.metrics.split(",")))
    default = PAGE if options.columns == 2 else COLUMN
    width = _length(options.width) if options.width else default
    return Wanted(formats, metrics, _only(options.only), width, command)


def _length(typed: str) -> float:
    """A length in points.

    Raises:
        ConfigError: if it is none, or too small or large for a figure.
    """
    found = re.fullmatch(rf"(\d+(?:\.\d*)?|\.\d+) ?({'|'.join(UNITS)})", typed)
    length = float(found[1]) * UNITS[found[2]] if found else 0.0
    if not NARROWEST <= length <= WIDEST:
        problem = (
            f"must be a number and a unit ({listed(UNITS)}), such as 8.3cm, from "
            f"{NARROWEST / CM:.0f}cm to {WIDEST / CM:.0f}cm"
        )
        raise ConfigError("--width", typed, problem)
    return length


def _only(typed: Sequence[str]) -> dict[str, list[str]]:
    """The values of keys.

    Raises:
        ConfigError: if one is not ``KEY=VALUE,…``.
    """
    found: dict[str, list[str]] = {}
    for each in typed:
        key, sign, values = each.partition("=")
        if not sign or not key:
            raise ConfigError("--only", each, "must be KEY=VALUE,…, such as pair=coffee_mosaic")
        # a comma within brackets is part of a list
        found.setdefault(key, []).extend(re.split(r",(?![^\[]*\])", values))
    return found


def _check(names: Sequence[str], known: Sequence[str]) -> None:
    """Refuses unknown names.

    Raises:
        ConfigError: also if there is no name.
    """
    if not names:
        raise ConfigError("experiment", None, f"needs a name; allowed: {listed(known)}")
    for name in names:
        if name not in known:
            problem = f"no such experiment; allowed: {listed(known)}"
            raise ConfigError("experiment", name, problem)
