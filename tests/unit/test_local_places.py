"""Which GPU or cores each process of ``hydra/launcher=local`` gets."""

from __future__ import annotations

import os

import pytest
from omegaconf import OmegaConf

from nst.sweeps import local
from nst.sweeps.local import GPUS, Place, places
from nst.sweeps.workers import workers_of
from nst.utils.errors import ConfigError


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GPUS, "")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 4, 5}, raising=False)


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize(
    ("processes", "cores", "expected"),
    [
        (None, None, [(0,), (1,), (4,), (5,)]),
        (2, None, [(0, 1), (4, 5)]),
        (1, None, [(0, 1, 4, 5)]),
        (None, 2, [(0, 1), (4, 5)]),
        (None, 3, [(0, 1, 4)]),
        (3, 2, [(0, 1), (4, 5), (0, 1)]),  # more than there are: they share
        (1, 9, [(0, 1, 4, 5)]),
    ],
)
def test_cores(processes: int | None, cores: int | None, expected: list[tuple[int, ...]]) -> None:
    assert places(processes, cores) == [Place(None, each) for each in expected]


@pytest.mark.usefixtures("four_cores")
def test_workers_of_the_default_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """By them a sweep is divided: with one, a single process would compute all of it."""
    settings = {"_target_": "hydra_plugins.nst_local.LocalLauncher", "processes": None}
    assert workers_of(OmegaConf.create({**settings, "cores": None})) == 4
    assert workers_of(OmegaConf.create({**settings, "cores": 2})) == 2
    monkeypatch.setenv(GPUS, "0,1,2")
    assert workers_of(OmegaConf.create({**settings, "cores": None})) == 3


def test_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process for each visible GPU; more share them in turn."""
    monkeypatch.setenv(GPUS, "2,GPU-8e3f")
    assert places(None, None) == [Place("2"), Place("GPU-8e3f")]
    assert places(3, None) == [Place("2"), Place("GPU-8e3f"), Place("2")]
    monkeypatch.setenv(GPUS, "-1")
    assert local._gpus() == []


def test_gpus_that_the_driver_lists(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.delenv(GPUS, raising=False)
    program = f"{tmp_path}/nvidia-smi"
    with open(program, "w") as file:  # noqa: PTH123
        file.write("#!/bin/sh\nprintf 'GPU 0: NVIDIA\\nGPU 1: NVIDIA\\n'\n")
    os.chmod(program, 0o700)  # noqa: PTH101
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert places(None, None) == [Place("0"), Place("1")]


@pytest.mark.parametrize(("processes", "cores"), [(0, None), (None, 0), (True, None), (None, 1.5)])
def test_wrong_numbers(processes: object, cores: object) -> None:
    with pytest.raises(ConfigError, match="must be a whole number from 1"):
        places(processes, cores)  # type: ignore[arg-type]
