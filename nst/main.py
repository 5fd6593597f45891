"""The command `nst`: Hydra composes the config, we check it, hand it over, and tell of errors."""

from __future__ import annotations

import difflib
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from nst import checks, schema, sweep
from nst.errors import ConfigError, Interrupted, NstError, listed
from nst.schema import Config

log = logging.getLogger(__name__)


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
    config = OmegaConf.to_object(cfg)
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


def job(cfg: DictConfig) -> str:
    """One run. Returns its folder, and prints it as the last line of stdout."""
    hydra_config = HydraConfig.get()
    multirun = hydra_config.mode == RunMode.MULTIRUN
    sweep_dir = Path(hydra_config.sweep.dir)
    began = time.time()
    try:
        config = to_config(cfg)
        member = sweep.member(hydra_config, asdict(config.experiment))
        from nst.execute import execute  # seconds to import: a wrong config is told before
        from nst.run import prepare

        (folder,) = execute([prepare(config, member)], sweep_dir.name if multirun else None)
    except Exception as error:
        if os.environ.get("NST_FULL_ERROR"):
            raise
        # Hydra would print more than a line for a single run, and go on in a sweep.
        print(f"nst: {one_line(error)}", file=sys.stderr)
        if multirun:
            sweep.record(sweep_dir, hydra_config.job.num, sweep.FAILED, one_line(error))
            raise
        sys.exit(exit_status(error))
    finally:
        if sweep.plan is not None:
            sweep.plan.done += 1
    if multirun:
        computed = (folder / "run.json").stat().st_mtime >= began
        outcome = sweep.COMPLETED if computed else sweep.SKIPPED
        sweep.record(sweep_dir, hydra_config.job.num, outcome, str(folder.resolve()))
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
    # Makes Hydra hand its errors over: on its own it prints several lines and exits with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv[1:] = arguments
    try:
        run()
    except KeyboardInterrupt as error:
        told = error if isinstance(error, Interrupted) else "stopped; the same command goes on"
        print(f"nst: {told}", file=sys.stderr)
        return error.exit_status if isinstance(error, Interrupted) else 130
    except Exception as error:
        if os.environ.get("NST_FULL_ERROR"):
            raise
        if not sweep.started():
            print(f"nst: {one_line(error)}", file=sys.stderr)
        return exit_status(error)
    finally:
        sweep.summarise()
    return 0


def exit_status(error: Exception) -> int:
    """2 for what was wrong before anything was computed, else 1."""
    if isinstance(error, NstError):
        return error.exit_status
    return 2 if isinstance(error, HydraException | OmegaConfBaseException) else 1


def one_line(error: Exception) -> str:
    """An error in one line: the key, the value and what is allowed, as far as it is known."""
    cause = error.__cause__ if isinstance(error, HydraException) else error
    if isinstance(error, MissingConfigException) and error.options:
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        return str(ConfigError(group, option, f"no such option; allowed: {listed(error.options)}"))
    if isinstance(cause, ConfigKeyError | ConfigAttributeError):
        return _unknown_key(cause)
    if isinstance(cause, OmegaConfBaseException):
        reason = str(cause.msg or cause).split("\n")[0]
        return f"{cause.full_key}: {reason}" if cause.full_key else reason
    if isinstance(error, NstError | HydraException):
        return " ".join(str(error).split())
    told = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{told} (HYDRA_FULL_ERROR=1 shows where)"


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
