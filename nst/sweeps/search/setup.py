"""What a study needs, checked before it has a file."""

from __future__ import annotations

import importlib.util
from typing import Any

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from nst.config.compose import to_config
from nst.config.job_overrides import meaning
from nst.config.keys import affects_result, values
from nst.config.objective import PREFERENCE
from nst.utils.errors import ConfigError

SWEEPER = "hydra.sweeper"


def require_optuna() -> None:
    """Refuses to search without Optuna.

    Raises:
        ConfigError: says how to install it.
    """
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError("hydra/sweeper", "optuna", "needs Optuna: pip install 'nst[search]'")


def check(config: DictConfig, loader: ConfigLoader) -> Any:
    """The search space of a study; everything about the study is checked.

    Args:
        config: composed for a multirun, ``hydra`` included.
        loader: Hydra's.

    Raises:
        ConfigError: for the first wrong value, also of a choice or a bound.
        HydraException: if a choice cannot be composed.
    """
    from nst.sweeps.search.space import search_space

    sweeper, objective = config.hydra.sweeper, list(config.objective)
    if config.study is None:
        raise ConfigError("study", None, "a search needs a name: study=NAME")
    if not objective:
        problem = "a search needs metrics or losses, such as [content_distance,patch_distance]"
        raise ConfigError("objective", objective, problem)
    for key in ("n_trials", "trials_per_batch"):
        value = sweeper[key]
        if not (type(value) is int and value >= 1) and (key == "n_trials" or value is not None):
            raise ConfigError(f"{SWEEPER}.{key}", value, "must be a whole number from 1")
    margin = sweeper.stop_dominated
    if margin is not None and not (isinstance(margin, float | int) and margin >= 0):
        raise ConfigError(f"{SWEEPER}.stop_dominated", margin, "must be 0 or more, or null")
    if len(objective) > 1 and sweeper.get("pruner"):
        problem = "prunes by one objective; with several: hydra.sweeper.stop_dominated=0.2"
        raise ConfigError("hydra/sweeper/pruner", _choice(config, "pruner"), problem)
    if len(objective) == 1 and margin is not None:
        problem = "needs several objectives; with one: hydra/sweeper/pruner=median"
        raise ConfigError(f"{SWEEPER}.stop_dominated", margin, problem)
    if len(objective) > 1 and str(sweeper.sampler._target_).endswith(".CmaEsSampler"):
        problem = "searches for one objective; with several: tpe, nsga2, gp or random"
        raise ConfigError("hydra/sweeper/sampler", _choice(config, "sampler"), problem)
    if sweeper.get("pruner") and objective == [PREFERENCE]:
        problem = f"objective=[{PREFERENCE}] is known of finished pictures only"
        raise ConfigError("hydra/sweeper/pruner", _choice(config, "pruner"), problem)
    space = search_space(config, loader)
    for corner in space.corners():
        job = loader.load_sweep_config(config, corner)
        with read_write(job), open_dict(job):
            del job["hydra"]
        to_config(job)
    return space


def _choice(config: DictConfig, group: str) -> str:
    return str(config.hydra.runtime.choices.get(f"hydra/sweeper/{group}"))


def settings(config: DictConfig, space: Any) -> dict[str, str]:
    """What the trials of a study have in common, by key, as far as it affects their results."""
    plain: Any = OmegaConf.to_container(config, resolve=False)
    del plain["hydra"]
    searched = {key.lstrip("+").partition("@")[0] for key in space.distributions}
    found = {key: each for key, each in values(plain).items() if affects_result(key)}
    found |= meaning(space.fixed)
    return {
        key: str(value)
        for key, value in found.items()
        if not any(key == each or key.startswith(f"{each}.") for each in searched)
    }
