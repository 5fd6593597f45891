"""Launches what a command line asks for: one run, or a sweep of them."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import hydra

from nst.config import schema
from nst.config.arguments import config_dirs, for_hydra
from nst.config.compose import conf_dir
from nst.runner.signals import terminate
from nst.sweeps.jobs import Jobs
from nst.sweeps.sweep import Sweep


def launch(arguments: Sequence[str], sweep: Sweep) -> None:
    """Has Hydra compose the config and call the jobs. May be called repeatedly in a process.

    Args:
        arguments: of the command line.
        sweep: gets the jobs and how they ended.

    Raises:
        HydraException, OmegaConfBaseException: if the config cannot be composed.
        NstError: for wrong arguments.
        KeyboardInterrupt: if a signal came.
        SystemExit: with the exit status of a single run that failed.
    """
    schema.register()
    run = hydra.main(version_base="1.3", config_path=conf_dir(), config_name="config")(
        Jobs(sweep.plan)
    )
    typed = sys.argv
    places = config_dirs(arguments)
    try:
        words = ordered(for_hydra(each, places) for each in arguments)
        sys.argv = [typed[0] if typed else "nst", *words]
        with parsing(), _errors_raised(), sweep.tracking_launchers():
            run()
    finally:
        sys.argv = typed


def ordered(arguments: Iterable[str]) -> list[str]:
    """The arguments with ``-m`` first: Hydra's parser takes none between overrides."""
    return sorted(arguments, key=lambda each: each not in ("-m", "--multirun"))


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


@contextmanager
def _errors_raised() -> Iterator[None]:
    """Errors and SIGTERM raise, where Hydra would print several lines and exit with 1."""
    environment = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    handler = None
    if threading.current_thread() is threading.main_thread():
        handler = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        os.environ.pop("HYDRA_FULL_ERROR")
        if environment is not None:
            os.environ["HYDRA_FULL_ERROR"] = environment
        if handler is not None:
            signal.signal(signal.SIGTERM, handler)
