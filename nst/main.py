"""The command `nst`: Hydra composes the config, we check it, hand it over, and tell of errors."""

from __future__ import annotations

import difflib
import gc
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from nst import checks, schema, sweep, sweep_record
from nst.errors import ConfigError, DivergedError, Interrupted, NstError, listed, reason
from nst.folder import DIVERGED, FAILED
from nst.schema import Config
from nst.sweep_record import Ended

log = logging.getLogger(__name__)

BAD_INPUT = 2


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
    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), resolved))
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


def job(cfg: DictConfig) -> str | None:
    """One run. Returns its folder, and prints it as the last line of stdout.

    In a sweep one that failed returns None: of an exception Hydra would tell in lines of its own,
    and a sweeper of several batches would end with the batch.
    """
    hydra_config = HydraConfig.get()
    multirun = hydra_config.mode == RunMode.MULTIRUN
    overrides = sweep.overrides(hydra_config)
    member = folder = None
    began = time.time()
    try:
        config = to_config(cfg)
        config.run.overrides = overrides
        sweep_dir = Path(hydra_config.sweep.dir)
        member = sweep.member(hydra_config, asdict(config.experiment))
        if config.retry and sweep_record.failed_before(Path(config.outputs), overrides):
            config.retry = None  # it failed before it had a folder that could say so
        # seconds to import: a wrong config is told before
        from nst.execute import compute, identify
        from nst.run import prepare

        runs = identify([prepare(config, member)], sweep_dir.name if multirun else None)
        folder = Path(str(runs[0].config.run.folder))
        compute(runs)
    except Exception as error:
        if os.environ.get("NST_FULL_ERROR"):
            raise
        print(f"nst: {one_line(error)}", file=sys.stderr)
        if not multirun:
            sys.exit(exit_status(error))
        sweep_dir, number = Path(hydra_config.sweep.dir), hydra_config.job.num
        if exit_status(error) == BAD_INPUT:
            folder = None  # if there is one, an earlier attempt left it
            sweep_record.record_refusal(sweep_dir, number, one_line(error), overrides, member)
        outcome = DIVERGED if isinstance(error, DivergedError) else FAILED
        sweep_record.record(sweep_dir, Ended(number, outcome, folder, one_line(error)))
        _release(error)
        return None
    finally:
        if sweep.plan is not None:
            sweep.plan.done += 1
    outcome = sweep_record.outcome(folder, began)
    if multirun:
        sweep_record.record(sweep_dir, Ended(hydra_config.job.num, outcome, folder))
    if outcome != sweep_record.LEFT_OUT:
        print(folder, flush=True)
    return str(folder)


def main() -> None:
    """Entry point: exit status 0, 1 for a failure while running, 2 for bad input."""
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        os.environ["NST_FULL_ERROR"] = "1"
    sys.exit(invoke(sys.argv[1:]))


def invoke(arguments: Sequence[str]) -> int:
    """Does what ``nst`` does with these arguments; may be called again and again.

    Returns:
        The exit status.
    """
    schema.register()
    run = hydra.main(version_base="1.3", config_path=conf_dir(), config_name="config")(job)
    # Hydra's parser takes no -m between overrides
    sys.argv[1:] = sorted(arguments, key=lambda each: each not in ("-m", "--multirun"))
    try:
        with _as_hydra_should_behave():
            run()
    except KeyboardInterrupt as error:
        told = error if isinstance(error, Interrupted) else "stopped; the same command goes on"
        print(f"nst: {told}", file=sys.stderr)
        return error.exit_status if isinstance(error, Interrupted) else 130
    except SystemExit as error:  # a single run that failed and said so, or --help
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except Exception as error:
        if os.environ.get("NST_FULL_ERROR"):
            raise
        # Hydra could not compose what was asked for; some of its errors do not name it
        known = isinstance(error, NstError | HydraException | OmegaConfBaseException | OSError)
        asked = "" if known else " ".join(["", "in", *arguments])
        print(f"nst: {one_line(error)}{_printable(asked)[:200]}", file=sys.stderr)
        return exit_status(error) if isinstance(error, OSError) else BAD_INPUT
    finally:
        status = sweep.summarise()
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


def _release(error: BaseException | None) -> None:
    """Lets go of what a failed job computed with, before the next one needs the memory."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
    gc.collect()


def exit_status(error: Exception) -> int:
    """2 for what was wrong before anything was computed, else 1."""
    if isinstance(error, NstError):
        return error.exit_status
    return BAD_INPUT if isinstance(error, HydraException | OmegaConfBaseException) else 1


def one_line(error: Exception) -> str:
    """An error in one line: the key, the value and what is allowed, as far as it is known."""
    return _printable(_line(error))


def _printable(text: str) -> str:
    """Control characters as one would type them: they could move the cursor, or end the line."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _line(error: Exception) -> str:
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
