"""The command ``nst-report``: pages from run folders, and with ``--run`` the missing runs."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from nst.cli import main as nst_main
from nst.cli.options import VERSION, Parser, add_config_dir, add_outputs
from nst.config import schema
from nst.config.arguments import for_hydra
from nst.config.compose import check_links, conf_dir, to_config
from nst.config.experiment import ALL, MAIN
from nst.config.messages import exit_status, one_line
from nst.config.overrides import quoted
from nst.runner.plan import Plan
from nst.sweeps.job_list import expected_jobs
from nst.utils.errors import ConfigError, NstError, listed
from nst.utils.files import escaped
from nst.utils.text import nearest
from nst.vgg import architecture

HELP = """\
usage: nst-report [report | figure | compare | watch | vote | measure] ...

Builds pages and figures from run folders.

  report     tables and claims of experiments: OUTPUTS/report/index.html (the default)
  figure     the table of an experiment for a paper, as PDF and LaTeX: OUTPUTS/figures
  compare    any runs side by side: OUTPUTS/compare/index.html
  watch      the same, kept up to date until Ctrl-C
  vote       the better of two results at a time, by eye: a ranking for the report
  measure    metrics of pictures of any other program, recorded for both pages

examples:
  nst-report report                                 the page of the experiments in outputs/
  nst-report report --run                           first run what is missing of the main report
  nst-report report --run weights texture_layers    only these two
  nst-report report --run --report losses           the report on losses, in outputs/report/losses
  nst-report report --run image.size=64 seed=0      all of them smaller, with one seed
  nst-report figure weights --format pdf,tex        for a paper, at column width
  nst-report compare                                all runs
  nst-report compare sweep=last                     those of the last sweep
  nst-report compare init=noise weights.style=1e5,1e6 status=completed
  nst-report compare study=tradeoff                 a search: its front, its history and its runs
  nst-report watch sweep=last
  nst-report vote sweep=last
  nst-report measure results --content photo.jpg --style painting.jpg --name other_program

nst-report COMMAND --help lists the options of a command; nst-report --version prints the version.
"""

COMMANDS = ("report", "figure", "compare", "watch", "vote", "measure")


def main() -> None:
    """Entry point: exit status 0, 1 if an experiment failed, 2 for bad input."""
    nst_main.print_any_path()
    sys.exit(report(sys.argv[1:]))


def report(arguments: Sequence[str]) -> int:
    """Runs ``nst-report`` with these arguments. Returns the exit status."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(HELP, end="")
        return 0
    if arguments[:1] == ["--version"]:
        print(VERSION)
        return 0
    command, rest = _command(arguments)
    if command == "measure":
        from nst.cli.measure import measure

        return measure(rest)
    if command == "vote":
        from nst.cli.vote import vote

        return vote(rest)
    if command == "figure":
        from nst.cli.figure import figure

        return figure(rest)
    return _report(rest) if command == "report" else _compare(command, rest)


def _command(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """The command, ``report`` if none is named, and its arguments."""
    words = list(arguments)
    if words and words[0] in COMMANDS:
        return words[0], words[1:]
    for command in ("watch", "compare"):
        if f"--{command}" in words:
            print(
                f"nst-report: --{command} is deprecated; use: nst-report {command}", file=sys.stderr
            )
            return command, [word for word in words if word not in ("--watch", "--compare")]
    return "report", words


def _report(arguments: Sequence[str]) -> int:
    options = _report_options(arguments)
    try:
        check_links()
        page, status, addresses = make(
            options.words,
            options.outputs,
            options.report,
            options.run,
            options.config_dir,
            options.wandb,
        )
    except (NstError, HydraException, OmegaConfBaseException) as error:
        print(f"nst-report: {one_line(error)}", file=sys.stderr)
        return exit_status(error)
    print(*addresses, page, sep="\n")
    return status


def make(
    words: Sequence[str],
    outputs: str,
    report: str = MAIN,
    run: bool = False,
    config_dir: str | None = None,
    wandb: bool = False,
) -> tuple[Path, int, list[str]]:
    """Makes the page of a report.

    Args:
        words: names of experiments, and overrides with ``run``.
        outputs: root folder.
        report: which one.
        run: run what is missing first.
        config_dir: a folder with more experiments.
        wandb: also save a report and workspaces in W&B.

    Returns:
        The page, the worst exit status of the sweeps, and the addresses in W&B.

    Raises:
        NstError, HydraException, OmegaConfBaseException: for wrong input, or if there is nothing
            to show.
    """
    overrides = [word for word in words if "=" in word]
    names = [word for word in words if "=" not in word]
    experiments = declarations(config_dir)
    for name in names:
        if name not in experiments:
            _check_name(name, list(experiments), run)
    available = _of_report(report, experiments)
    if overrides and not run:
        raise ConfigError("override", overrides[0], "overrides are for --run")
    if wandb:
        from nst.reports.wandb_report import save

        save.check_login()  # before the runs are computed
    status = 0
    if run:
        fixed = [*overrides, f"outputs={quoted(outputs)}"]
        status = run_experiments(names or available, fixed, config_dir)
    from nst.reports.page import build  # a second to import

    page = build(Path(outputs), names, available, report)
    return page, status, save.save(Path(outputs), names, report) if wandb else []


def _check_name(name: str, available: Sequence[str], run: bool) -> None:
    """Refuses unknown names. Without ``--run`` a page may show experiments whose file is gone.

    Raises:
        ConfigError: also for a misspelled command.
    """
    if command := nearest(name, COMMANDS):
        problem = f"no such command (did you mean {command}?); allowed: {listed(COMMANDS)}"
        raise ConfigError("command", name, problem)
    if run:
        raise ConfigError("experiment", name, f"no such experiment; allowed: {listed(available)}")


def _compare(command: str, arguments: Sequence[str]) -> int:
    from nst.compare import comparison

    parser = Parser(
        f"nst-report {command}",
        description="Sets runs side by side on a page, OUTPUTS/compare/index.html"
        + (", and keeps it up to date until Ctrl-C." if command == "watch" else "."),
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="NAME | KEY=VALUE",
        help="which runs (all): text of a run's name, or KEY=VALUE,… with * and ?, KEY<NUMBER, "
        "KEY>NUMBER for a key of the config, a metric, a loss, experiment, status, sweep or study; "
        "sweep=last: the last sweep",
    )
    if command == "compare":
        parser.add_argument(
            "--wandb", action="store_true", help="with study=NAME: also save a workspace in W&B"
        )
    add_outputs(parser)
    options = parser.parse_intermixed_args(arguments)
    outputs, words = Path(options.outputs), [escaped(word) for word in options.words]
    make = comparison.watch if command == "watch" else comparison.build
    try:
        page = make(outputs, words)
        addresses = _save_study(outputs, words) if vars(options).get("wandb") else []
    except NstError as error:
        print(f"nst-report: {one_line(error)}", file=sys.stderr)
        return exit_status(error)
    print(*addresses, page, sep="\n")
    return 0


def _save_study(outputs: Path, words: Sequence[str]) -> list[str]:
    """Saves a workspace in W&B for the study that the words select. Returns its address.

    Raises:
        ConfigError: if they select none, or several.
        NstError: if there is no login, or as of ``save_study``.
    """
    from nst.compare.studies import selected
    from nst.reports.wandb_report import save

    save.check_login()
    study = selected(outputs, words)
    if study is None:
        raise ConfigError("study", None, "--wandb needs the name of one: study=NAME")
    return save.save_study(outputs, study)


def _report_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        "nst-report report",
        description="Builds a page of tables of experiments, with their claims tested: "
        "OUTPUTS/report/index.html.",
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="NAME | KEY=VALUE",
        help="experiments to show (all of the report), and overrides with --run",
    )
    parser.add_argument("--run", action="store_true", help="run what is missing first")
    parser.add_argument(
        "--report",
        default=MAIN,
        metavar="NAME",
        help=f"which report: {MAIN} (the default), losses, …, or {ALL}; others than {MAIN} are in "
        "OUTPUTS/report/NAME",
    )
    parser.add_argument(
        "--wandb", action="store_true", help="also save a report and workspaces in W&B"
    )
    add_config_dir(parser)
    add_outputs(parser)
    return parser.parse_intermixed_args(arguments)


def declarations(config_dir: str | None) -> dict[str, dict[str, Any]]:
    """The declarations of all experiments by name, sorted by section; empty: not readable.

    Raises:
        ConfigError: if ``config_dir`` is no folder.
    """
    roots = [conf_dir(), *([config_dir] if config_dir else [])]
    if config_dir and not Path(config_dir).is_dir():
        raise ConfigError("--config-dir", config_dir, "no such folder")
    files = {path.stem: path for root in roots for path in Path(root).glob("experiments/*.yaml")}
    found = {name: _declaration(file) for name, file in files.items()}
    return dict(sorted(found.items(), key=lambda item: (str(item[1].get("section", "")), item[0])))


def _declaration(file: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))["experiment"]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return {}  # Hydra reports what is wrong with it
    return found if isinstance(found, dict) else {}


def _of_report(report: str, experiments: Mapping[str, dict[str, Any]]) -> list[str]:
    """The names of a report's experiments.

    Raises:
        ConfigError: if no experiment is part of it.
    """
    by_name = {name: str(each.get("report", MAIN)) for name, each in experiments.items()}
    known = [*dict.fromkeys(by_name.values()), ALL]
    if report not in known:
        raise ConfigError("--report", report, f"no such report; allowed: {listed(known)}")
    return [name for name, own in by_name.items() if report in (own, ALL)]


def run_experiments(names: Sequence[str], overrides: Sequence[str], config_dir: str | None) -> int:
    """Sweeps over the experiments. Returns the worst exit status.

    Raises:
        HydraException, ConfigError: if an experiment cannot run with these overrides.
    """
    extra = ["--config-dir", config_dir] if config_dir else []
    plan = Plan(_costs(names, overrides, config_dir))
    print(f"nst-report: {len(plan.costs)} runs of {len(names)} experiments", file=sys.stderr)
    worst = 0
    for name in names:
        status = nst_main.invoke([f"+experiments={name}", *overrides, *extra], plan)
        if status > 128:  # a signal, which ends them all
            sys.exit(status)
        if status:
            print(f"nst-report: {name} ended with status {status}", file=sys.stderr)
        worst = max(worst, min(status, 1))
    return worst


def _costs(names: Sequence[str], overrides: Sequence[str], config_dir: str | None) -> list[float]:
    """Estimated work of all runs in order, from steps, pixels and depth.

    Raises:
        HydraException, ConfigError: if an experiment cannot run with these overrides.
    """
    schema.register()
    costs: list[float] = []
    typed = [for_hydra(override, [config_dir] if config_dir else []) for override in overrides]
    if config_dir:
        typed.append(f"hydra.searchpath=[{quoted(f'file://{Path(config_dir).resolve()}')}]")
    for name in names:
        GlobalHydra.instance().clear()
        with initialize_config_dir(conf_dir(), version_base="1.3"):
            # hydra.compose does not compose sweeps
            hydra = GlobalHydra.instance().hydra
            assert hydra is not None
            config = hydra.compose_config(
                "config", [f"+experiments={name}", *typed], run_mode=RunMode.MULTIRUN
            )
        jobs = expected_jobs(config, hydra.config_loader)
        with read_write(config), open_dict(config):
            del config["hydra"]
            config.pairs = None  # the jobs have its rows
        to_config(config)  # raises before anything is computed
        costs += [_cost(config, job) for job in jobs]
    return costs


def _cost(config: DictConfig, job: Sequence[str]) -> float:
    """Steps x pixels x multiply-adds per pixel, as far as known without composing the job."""
    backbone = config.backbone.name
    named = re.findall(r"\b(?:conv|relu)\d?_\d+\b", " ".join(job))
    content = config.layers.content if config.task in schema.CONTENT_TASKS else []
    style = config.layers.style if config.task in schema.STYLE_TASKS else []
    depth = 0.0
    for layer in named or [*content, *style]:
        try:
            depth = max(depth, architecture.work(architecture.canonical(layer, backbone), backbone))
        except ValueError:
            continue  # the job reports it
    return config.steps * config.image.size**2 * depth


if __name__ == "__main__":
    main()
