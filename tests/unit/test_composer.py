"""Jobs of a sweep are composed as Hydra composes them, with fewer compositions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from nst.config import schema
from nst.config.compose import conf_dir
from nst.sweeps.composer import KEPT, Composer


class Counted:
    """Hydra's loader, with the number of its compositions."""

    def __init__(self, loader: Any) -> None:
        self.loader, self.count = loader, 0

    def composer(self, config: DictConfig) -> Composer:
        return Composer(cast(ConfigLoader, self), config)

    def load_sweep_config(self, config: DictConfig, overrides: list[str]) -> DictConfig:
        self.count += 1
        found: DictConfig = self.loader.load_sweep_config(config, overrides)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


@pytest.fixture
def loader() -> Iterator[Counted]:
    schema.register()
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        yield Counted(hydra.config_loader)


def _sweep(loader: Counted, *typed: str) -> DictConfig:
    found: DictConfig = loader.load_configuration("config", [*typed], RunMode.MULTIRUN)
    return found


def _plain(config: DictConfig) -> Any:
    return OmegaConf.to_container(config, resolve=False)


JOBS: list[list[str]] = [
    ["seed=1"],
    ["seed=1", "weights.style=1e3"],
    ["weights.style=1e3", "seed=2"],
    ["weights=mild", "weights.style=2e4", "layers.style=[conv1_1,conv2_1]"],
    ["init=noise", "weights=mild", "style={path: builtin:waves}"],
    ["init=noise", "weights=mild", "style={path: builtin:mosaic}", "trainer.max_time=null"],
    ["content.path='a, b=c.png'", "steps=7"],
    ["content.path=${style.path}"],
    ["+trainer.profiler=simple", "seed=3"],
    ["~trainer.deterministic", "seed=3"],
    ["++trainer.profiler=simple", "+trainer.limit=3"],
    ["hydra.job.name=other", "seed=4"],
    ["hydra/launcher=vectorized", "seed=4"],
    ["+experiments=weights", "seed=5", "steps=3"],
    ["logger=none", "optimizer=adam", "optimizer.lr=0.1"],
]


@pytest.mark.parametrize("job", JOBS, ids=" ".join)
def test_as_hydra_composes(loader: Counted, job: list[str]) -> None:
    """The whole config, what Hydra records included; also when the composition is shared."""
    config = _sweep(loader, "hydra.sweep.dir=elsewhere")
    composer = loader.composer(config)
    expected: Any
    try:
        expected = _plain(loader.load_sweep_config(config, job))
    except HydraException as error:
        with pytest.raises(type(error), match=None) as found:
            composer.compose(job)
        assert str(found.value) == str(error)
        return
    composer.compose([*job[:-1]])
    assert _plain(composer.compose(job)) == expected
    assert _plain(composer.compose(job)) == expected


@pytest.mark.parametrize(
    "job", [["sead=1"], ["weights.style=[1,"], ["seed=x"], ["seed=1", "init=nowhere"]]
)
def test_wrong_jobs_have_the_message_of_hydra(loader: Counted, job: list[str]) -> None:
    config = _sweep(loader)
    messages = []
    for compose in (loader.load_sweep_config, lambda _, own: loader.composer(config).compose(own)):
        with pytest.raises(HydraException) as found:
            compose(config, job)
        messages.append(str(found.value))
    assert messages[0] == messages[1]


def test_values_share_a_composition(loader: Counted) -> None:
    composer = loader.composer(_sweep(loader))
    jobs: Sequence[list[str]] = [
        [f"weights={weights}", f"seed={seed}"]
        for weights in ("mild", "strong")
        for seed in range(9)
    ]
    seeds = [composer.compose(job).seed for job in jobs]
    assert seeds == [*range(9), *range(9)]
    assert loader.count == 2
    for number in range(KEPT + 1):
        composer.compose([f"hydra.job.name=n{number}"])
    assert len(composer._composed) == KEPT


def test_a_check_composes_combinations_of_groups_once(loader: Counted) -> None:
    jobs = [
        [f"weights={weights}", f"seed={seed}", f"steps={steps}"]
        for weights in ("mild", "strong")
        for seed in range(9)
        for steps in (1, 2)
    ]
    named = list(loader.composer(_sweep(loader)).check(jobs))
    assert loader.count == 2
    assert len(named) == 9 + 1 + 1  # each seed, the other number of steps, the other weights


@pytest.mark.parametrize("wrong", ["sead=1", "seed=x", "init=nowhere", "~seed2", "+steps=1"])
def test_a_check_has_the_message_of_hydra(loader: Counted, wrong: str) -> None:
    config = _sweep(loader)
    jobs: list[list[str]] = [["seed=1"], ["seed=1", wrong], ["seed=2"]]
    with pytest.raises(HydraException) as expected:
        loader.load_sweep_config(config, jobs[1])
    checked: list[Sequence[str]] = []
    check = loader.composer(config).check(jobs)
    with pytest.raises(HydraException) as found:
        while True:
            checked.append(next(check))
    assert str(found.value) == str(expected.value)
    assert checked == jobs[:2]
