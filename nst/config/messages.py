"""Errors as the commands report them: one line and an exit status."""

from __future__ import annotations

import re
from dataclasses import fields

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from nst.config import overrides
from nst.config.keys import PICTURE_GROUPS, values
from nst.config.named_files import no_option
from nst.utils.errors import ConfigError, NstError, listed, printable, reason
from nst.utils.text import nearest

BAD_INPUT = 2

_SWEPT = re.compile(r"Ambiguous value for argument '(.*)'\s+1\. ", re.DOTALL)  # of Hydra
_ENGINE = re.compile(r"Could not load 'hydra/launcher/(\w+)'")
_TWICE = re.compile(r"Multiple values for (\S+)\. To override a value use 'override \1: (\S+)'")
_EXTRAS = {"joblib": "joblib", "ray": "ray", "submitit_slurm": "slurm", "submitit_local": "slurm"}
"""The extra that brings a launcher of Hydra's."""

_LONG = 60  # characters of a value in a message


def exit_status(error: Exception) -> int:
    """2 for bad input, found before anything was computed; else 1."""
    if isinstance(error, NstError):
        return error.exit_status
    return BAD_INPUT if isinstance(error, HydraException | OmegaConfBaseException) else 1


def one_line(error: Exception) -> str:
    """An error in one line: key, value and what is allowed, as far as they are known."""
    return printable(_line(error))


def _line(error: Exception) -> str:
    if isinstance(error, OverrideParseException):
        return overrides.refusal(error)
    cause = error.__cause__ if isinstance(error, HydraException) else error
    if isinstance(error, HydraException) and (known := _of_composition(error)):
        return str(known)
    if isinstance(cause, ConfigKeyError | ConfigAttributeError):
        return _unknown_key(cause)
    if isinstance(cause, OmegaConfBaseException):
        first = str(cause.msg or cause).split("\n")[0]
        return f"{cause.full_key}: {first}" if cause.full_key else first
    if isinstance(error, NstError | HydraException):
        return " ".join(str(error).split())
    text = reason(error)
    expected = isinstance(error, OSError) or not text.startswith(type(error).__name__)
    return text if expected else f"{text} (HYDRA_FULL_ERROR=1 shows the traceback)"


def _of_composition(error: HydraException) -> ConfigError | None:
    """What was wrong with an argument that Hydra could parse; None for all other errors."""
    if swept := _SWEPT.match(str(error)):
        return _sweep_needed(swept[1])
    if (engine := _ENGINE.search(str(error))) and engine[1] in _EXTRAS:
        problem = f"is not installed: pip install 'nst[{_EXTRAS[engine[1]]}]'"
        return ConfigError("hydra/launcher", engine[1], problem)
    if twice := _TWICE.match(str(error)):
        problem = "the group has an option already; to replace it, omit the +"
        return ConfigError(twice[1], twice[2], problem)
    if not isinstance(error, MissingConfigException) or not error.options:
        return None
    group, _, option = (error.missing_cfg_file or "").partition("/")
    if group in PICTURE_GROUPS:
        return no_option(group, option, error.options)
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    return ConfigError(group, option, f"no such option; allowed: {listed(error.options)}")


def _sweep_needed(argument: str) -> ConfigError:
    """The error for several values of a key in a single run."""
    key, _, values = argument.partition("=")
    override = overrides.parse(argument)
    count = len([*override.sweep_iterator()]) if override else "several"
    shown = values if len(values) <= _LONG else f"{values[:_LONG]}…"
    return ConfigError(key, shown, f"{count} values make a sweep; use nst -m")


def _unknown_key(error: OmegaConfBaseException) -> str:
    node = error.object_type
    if isinstance(node, type) and hasattr(node, "__dataclass_fields__"):
        allowed = [item.name for item in fields(node)]
    else:
        allowed = [str(key) for key in error.parent_node or ()]
    near = nearest(error.key, allowed)
    meant = [near] if near else _elsewhere(error)
    hint = f" (did you mean {' or '.join(meant)}?)" if meant else ""
    others = f"allowed: {listed(allowed)}" if allowed else f"to add it: +{error.full_key}=…"
    return f"{error.full_key}: no such key{hint}; {others}"


def _elsewhere(error: OmegaConfBaseException) -> list[str]:
    """The keys of that name in other groups of the config: ``size`` is ``image.size``."""
    root = error.parent_node and error.parent_node._get_root()
    if not isinstance(root, DictConfig):
        return []
    config = OmegaConf.to_container(root, resolve=False)
    return [
        name
        for name in values(config)
        if name.endswith(f".{error.key}") and not name.startswith("hydra.")
    ]
