"""The command `nst`: Hydra composes the config, we check it, hand it over, and tell of errors."""

from __future__ import annotations

import difflib
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from nst import checks, overrides, schema, sweep, sweep_record
from nst.errors import ConfigError, Interrupted, NstError, listed, printable, reason
from nst.experiment import Member
from nst.files import absolute, shown
from nst.interrupts import wait_for_slurm
from nst.outcome import LEFT_OUT, Outcome
from nst.schema import Config
from nst.sweep_record import Ended

if TYPE_CHECKING:  # seconds to import
    from nst.run import Run

log = logging.getLogger(__name__)

BAD_INPUT = 2
RESUME = "the same command runs what is missing"


def conf_dir() -> str:
    """`conf/` lies beside the package in a checkout, and inside it in a wheel."""
    inside = Path(__file__).parent / "conf"
    return str(inside if inside.is_dir() else Path(__file__).parents[1] / "conf")


def to_config(cfg: DictConfig) -> Config:
    """The checked config of one run.

    Raises:
        ConfigError: in one line, for the first thing that is wrong.
    """
    _refuse_added_keys(cfg)
    removed = {item.name for item in fields(Config)} - {str(key) for key in cfg}
    for key in sorted({*removed, *OmegaConf.missing_keys(cfg)}):
        raise ConfigError(key, "???", "must be set")
    # once more against the schema: an interpolation may have brought a value of any type
    resolved = OmegaConf.to_container(cfg, resolve=True)
    literal: Any = overrides.literal(resolved)
    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), literal))
    assert isinstance(config, Config)
    # A logger's config refers to what is found out later, such as the run's folder.
    config.logger = OmegaConf.to_container(cfg, resolve=False)["logger"]  # type: ignore[index,call-overload]
    checks.check(config)
    return config


def _refuse_added_keys(cfg: DictConfig, prefix: str = "") -> None:
    """``+key=value`` gets past Hydra even where the schema has no such key."""
    schema_type = OmegaConf.get_type(cfg)
    for key, node in cfg.items_ex(resolve=False):
        name = f"{prefix}{key!s}"
        if is_dataclass(schema_type):
            allowed = [item.name for item in fields(schema_type)]
            if key not in allowed:
                raise ConfigError(name, _shown(node), f"no such key; allowed: {listed(allowed)}")
            if isinstance(node, DictConfig):
                _refuse_added_keys(node, f"{name}.")


def _shown(node: object) -> object:
    return OmegaConf.to_container(node) if OmegaConf.is_config(node) else node


@dataclass
class Asked:
    """What a job asks for.

    Attributes:
        overrides: as typed.
        member: its place in an experiment, if it has one and the config is right.
        run: checked and identified; None if it is refused.
        refusal: how it ended, if it is refused.
    """

    overrides: list[str]
    member: Member | None = None
    run: Run | None = None
    refusal: Outcome | None = None


def job(cfg: DictConfig) -> str | None:
    """One run, from its config to its end: see ``finish``."""
    asked = ask(cfg)

    def alone() -> Outcome:
        from nst.execute import compute

        assert asked.run is not None
        return compute([asked.run])[0]

    parent = os.getppid()
    try:
        return finish(asked, alone)
    except Interrupted as error:
        owner = signal.getsignal(error.signal)
        if error.signal == signal.SIGTERM and callable(owner) and owner is not _terminate:
            owner(error.signal, None)  # a worker process has its own, such as submitit's
            wait_for_slurm(error, parent)
        raise


def ask(cfg: DictConfig) -> Asked:
    """What the job that Hydra is at asks for; nothing is computed, and no folder is made."""
    hydra_config = HydraConfig.get()
    multirun = hydra_config.mode == RunMode.MULTIRUN
    asked = Asked(sweep.overrides(hydra_config))
    try:
        config = to_config(cfg)
        config.outputs = str(absolute(config.outputs, hydra_config.runtime.cwd))
        config.run.overrides = asked.overrides
        asked.member = sweep.member(hydra_config, asdict(config.experiment))
        if config.retry and sweep_record.failed_before(Path(config.outputs), asked.overrides):
            config.retry = None  # it failed before it had a folder that could say so
        # seconds to import: a wrong config is told before
        from nst.execute import identify
        from nst.run import prepare

        group = Path(hydra_config.sweep.dir).name if multirun else None
        (asked.run,) = identify([prepare(config, asked.member)], group)
    except Exception as error:
        asked.refusal = Outcome.of(error)
    return asked


def finish(asked: Asked, compute: Callable[[], Outcome]) -> str | None:
    """Has the run of the job that Hydra is at computed; tells and records how it ended.

    In a sweep one that failed returns None: of an exception Hydra would tell in lines of its own,
    and a sweeper of several batches would end with the batch.

    Args:
        asked: by the job.
        compute: its run, unless it is refused.

    Returns:
        The run folder, printed as the last line of stdout.
    """
    hydra_config = HydraConfig.get()
    multirun = hydra_config.mode == RunMode.MULTIRUN
    try:
        status, error, folder = asked.refusal or compute()
    finally:
        if sweep.plan is not None:
            sweep.plan.done += 1
    if error is not None:
        if os.environ.get("NST_FULL_ERROR"):
            raise error
        why = one_line(error)
        print(f"nst: {why}", file=sys.stderr)
        if not multirun:
            sys.exit(exit_status(error))
        sweep_dir, number = Path(hydra_config.sweep.dir), hydra_config.job.num
        refused = exit_status(error) == BAD_INPUT
        if refused:
            folder = None  # if there is one, an earlier attempt left it
            sweep_record.record_refusal(sweep_dir, number, why, asked.overrides, asked.member)
        sweep_record.record(sweep_dir, Ended(number, status, folder, why, refused))
        return None
    if multirun:
        ended = Ended(hydra_config.job.num, status, folder)
        sweep_record.record(Path(hydra_config.sweep.dir), ended)
    if status != LEFT_OUT and folder is not None:
        print(shown(folder), flush=True)
    return str(folder)


def main() -> None:
    """Entry point: exit status 0, 1 for a failure while running, 2 for bad input."""
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        os.environ["NST_FULL_ERROR"] = "1"
    print_any_path()
    sys.exit(invoke(sys.argv[1:]))


def print_any_path() -> None:
    """Lets standard output take folders whose names are not UTF-8: their bytes, as they are."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")


def invoke(arguments: Sequence[str]) -> int:
    """Does what ``nst`` does with these arguments; may be called again and again.

    Returns:
        The exit status.
    """
    schema.register()
    run = hydra.main(version_base="1.3", config_path=conf_dir(), config_name="config")(job)
    # Hydra's parser takes no -m between overrides
    typed = map(overrides.for_hydra, arguments)
    sys.argv[1:] = sorted(typed, key=lambda each: each not in ("-m", "--multirun"))
    swept = sweep.Sweep()
    stopped: KeyboardInterrupt | None = None
    parent = os.getppid()
    try:
        with _as_hydra_should_behave(), swept.following():
            run()
    except KeyboardInterrupt as error:
        stopped = error.with_traceback(None)  # its frames hold the run's memory
        told = error if isinstance(error, Interrupted) else "stopped; the same command goes on"
        print(f"nst: {told}", file=sys.stderr)
        return error.exit_status if isinstance(error, Interrupted) else 130
    except SystemExit as error:  # a single run that failed and said so, --help, a callback
        code = 0 if error.code is None else error.code
        if not isinstance(code, int):
            print(f"nst: {printable(str(code))}", file=sys.stderr)
            code = 1
        return code or int(bool(swept.jobs))  # a sweep that it ends is not complete
    except Exception as error:
        if os.environ.get("NST_FULL_ERROR"):
            raise
        known = isinstance(error, NstError | HydraException | OmegaConfBaseException | OSError)
        if swept.jobs and not known:
            print(f"nst: the launcher failed: {one_line(error)}; {RESUME}", file=sys.stderr)
            return NstError.exit_status
        # Hydra could not compose what was asked for; some of its errors do not name it
        asked = "" if known else " ".join(["", "in", *arguments])
        print(f"nst: {one_line(error)}{printable(asked)[:200]}", file=sys.stderr)
        return exit_status(error) if known else BAD_INPUT
    finally:
        status = swept.end()
        wait_for_slurm(stopped, parent)
    return status


@contextmanager
def _as_hydra_should_behave() -> Iterator[None]:
    """Errors reach us, where Hydra would print several lines and exit with 1; SIGTERM too."""
    environment = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    handler = None
    if threading.current_thread() is threading.main_thread():
        handler = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        os.environ.pop("HYDRA_FULL_ERROR")
        if environment is not None:
            os.environ["HYDRA_FULL_ERROR"] = environment
        if handler is not None:
            signal.signal(signal.SIGTERM, handler)


def _terminate(number: int, frame: object) -> None:
    """Between its runs too, a sweep that is told to end says how far it came."""
    raise Interrupted(signal.Signals(number))


def exit_status(error: Exception) -> int:
    """2 for what was wrong before anything was computed, else 1."""
    if isinstance(error, NstError):
        return error.exit_status
    return BAD_INPUT if isinstance(error, HydraException | OmegaConfBaseException) else 1


def one_line(error: Exception) -> str:
    """An error in one line: the key, the value and what is allowed, as far as it is known."""
    return printable(_line(error))


def _line(error: Exception) -> str:
    if isinstance(error, OverrideParseException):
        return overrides.refusal(error)
    cause = error.__cause__ if isinstance(error, HydraException) else error
    if isinstance(error, MissingConfigException) and error.options:
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        return str(ConfigError(group, option, f"no such option; allowed: {listed(error.options)}"))
    if isinstance(cause, ConfigKeyError | ConfigAttributeError):
        return _unknown_key(cause)
    if isinstance(cause, OmegaConfBaseException):
        said = str(cause.msg or cause).split("\n")[0]
        return f"{cause.full_key}: {said}" if cause.full_key else said
    if isinstance(error, NstError | HydraException):
        return " ".join(str(error).split())
    told = reason(error)
    expected = isinstance(error, OSError) or not told.startswith(type(error).__name__)
    return told if expected else f"{told} (HYDRA_FULL_ERROR=1 shows where)"


def _unknown_key(error: OmegaConfBaseException) -> str:
    node = error.object_type
    if isinstance(node, type) and hasattr(node, "__dataclass_fields__"):
        allowed = [item.name for item in fields(node)]
    else:
        allowed = [str(key) for key in error.parent_node or ()]
    near = difflib.get_close_matches(str(error.key), allowed, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"{error.full_key}: no such key{hint}; allowed: {listed(allowed)}"


if __name__ == "__main__":
    main()
