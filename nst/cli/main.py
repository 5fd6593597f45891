"""The command ``nst``: Hydra composes the config and calls the jobs; errors become one line."""

from __future__ import annotations

import codecs
import io
import logging
import os
import sys
from collections.abc import Sequence

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from nst.cli import hydra_flags
from nst.config.compose import check_links
from nst.config.messages import BAD_INPUT, exit_status, one_line
from nst.runner.plan import Plan
from nst.runner.signals import wait_for_slurm
from nst.sweeps.launch import launch, ordered
from nst.sweeps.sweep import Sweep
from nst.utils import agent
from nst.utils.errors import RESUME, Interrupted, NstError, printable

log = logging.getLogger(__name__)

MISSING = "run the same command again for the missing jobs"


def main() -> None:
    """Entry point: exit status 0, 1 for a failure while running, 2 for bad input."""
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        os.environ["NST_FULL_ERROR"] = "1"
    print_any_path()
    sys.exit(invoke(sys.argv[1:]))


def print_any_path() -> None:
    """Makes standard output accept any text.

    Folder names that are not UTF-8 keep their bytes; characters that the output cannot encode, as
    in the C locale or on Windows, are escaped.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error("nst", _encoded)
        sys.stdout.reconfigure(errors="nst")


def _encoded(error: UnicodeError) -> tuple[str | bytes, int]:
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


def invoke(arguments: Sequence[str], plan: Plan | None = None) -> int:
    """Runs ``nst`` with these arguments. May be called repeatedly in a process.

    Args:
        arguments: of the command line.
        plan: of several sweeps that this one belongs to; None: it has its own.

    Returns:
        The exit status.
    """
    swept = Sweep(plan)
    stopped: KeyboardInterrupt | None = None
    parent = os.getppid()
    try:
        check_links()
        hydra_flags.check(ordered(arguments))
        launch(arguments, swept)
    except KeyboardInterrupt as error:
        stopped = error.with_traceback(None)  # its frames hold the run's memory
        text = error if isinstance(error, Interrupted) else f"interrupted: {RESUME}"
        print(f"nst: {text}", file=sys.stderr)
        if not isinstance(error, Interrupted):
            return 130
        # the agent of a W&B sweep ends if it stopped three runs whose status was not 0
        return 0 if agent.sent(error.signal, parent) else error.exit_status
    except SystemExit as error:  # a single run that failed, --help, or a callback
        return _exit_code(error) or int(bool(swept.jobs))  # a sweep that ends so is not complete
    except Exception as error:
        if os.environ.get("NST_FULL_ERROR"):
            raise
        return _report(error, arguments, launched=bool(swept.jobs))
    finally:
        swept.summarise()
        wait_for_slurm(stopped, parent)
    return swept.exit_status


def _exit_code(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print(f"nst: {printable(str(error.code))}", file=sys.stderr)
    return 1


def _report(error: Exception, arguments: Sequence[str], launched: bool) -> int:
    """Prints an error of Hydra or a launcher in one line. Returns the exit status."""
    known = isinstance(error, NstError | HydraException | OmegaConfBaseException | OSError)
    if launched and not known:
        print(f"nst: the launcher failed: {one_line(error)}; {MISSING}", file=sys.stderr)
        return NstError.exit_status
    # Hydra could not compose the config; some of its errors do not name the argument
    typed = "" if known else " ".join(["", "in", *arguments])
    print(f"nst: {one_line(error)}{printable(typed)[:200]}", file=sys.stderr)
    return exit_status(error) if known else BAD_INPUT


if __name__ == "__main__":
    main()
