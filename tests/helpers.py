"""Composing and running configs in tests, as the command line does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor, nn

from nst.config import schema
from nst.config.compose import conf_dir, to_config
from nst.config.schema import Config
from nst.runner.execute import compute
from nst.runner.identify import identify
from nst.runner.inputs import prepare
from nst.runner.networks import network
from nst.transfer.module import StyleTransfer
from nst.transfer.run import Run
from nst.vgg import architecture
from nst.vgg.calibration import activation_means
from nst.vgg.network import VGG
from nst.vgg.weights import Weights, load
from tests import commands

slow = pytest.mark.slow
"""``make torture`` runs these too."""

WILD = (
    "optimizer.projection=none",
    "optimizer.max_rise=null",
    "optimizer.first_step=null",
    "optimizer.lr=60",
)
"""Steps so long that the loss explodes within a few of them."""


STYLE_LOSSES = tuple(sorted(path.stem for path in Path(conf_dir(), "style_loss").glob("*.yaml")))
"""All options of the group."""


def first_of(cases: Iterable[Any]) -> list[Any]:
    """Parameters of a test, of which all but the first are slow."""
    first, *others = cases
    return [first, *(pytest.param(*_several(case), marks=slow) for case in others)]


def _several(case: Any) -> tuple[Any, ...]:
    return case if isinstance(case, tuple) else (case,)


schema.register()


def config(*overrides: str) -> Config:
    """The checked config that these overrides compose to."""
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        return to_config(compose("config", overrides=list(overrides)))


def execute(runs: Sequence[Run], group: str | None = None) -> list[Path]:
    """``identify`` and ``compute``.

    Returns:
        The run folders, in order.

    Raises:
        Exception: what ended the first run, if no run ended well.
    """
    outcomes = compute([identify(run, group) for run in runs])
    errors = [outcome.error for outcome in outcomes]
    if errors[0] is not None and None not in errors:
        raise errors[0]
    return [outcome.folder for outcome in outcomes if outcome.folder is not None]


def prepared(*overrides: str) -> Run:
    return prepare(config(*overrides))


def resolved(run: Run, **changes: Any) -> Run:
    """The run as if its config named something else, such as ``precision="32"``."""
    return replace(run, resolved=replace(run.resolved, **changes))


@cache
def embedded() -> Weights:
    return load("vgg19", "embedded", None, None, "rgb")


@cache
def tiny() -> Weights:
    """A VGG-19 of 4 to 32 channels with random weights, for tests that do not look at pictures.

    Their scale (He et al. 2015) keeps activations from vanishing and from exploding.
    """
    generator = torch.Generator().manual_seed(0)
    convolutions, inputs = [], 3
    for layer in architecture.convolutions("vgg19"):
        weight = torch.randn(layer.channels // 16, inputs, 3, 3, generator=generator)
        bias = torch.randn(layer.channels // 16, generator=generator) / 10
        convolutions.append((weight * (2 / (9 * inputs)) ** 0.5, bias))
        inputs = len(weight)
    return replace(embedded(), convolutions=convolutions, sha256="tiny")


def tiny_run(*overrides: str) -> Run:
    """As ``prepared``, with the weights ``tiny``."""
    return resolved(prepared(*overrides), weights=tiny())


_activation_means = cache(activation_means)


@lru_cache(maxsize=1)
def _convolutions(*key: Any) -> dict[str, nn.Module]:
    """Filled by the first ``VGG`` with this key, and shared by the next ones."""
    return {}


def module(runs: list[Run], dtype: torch.dtype = torch.float32) -> StyleTransfer:
    """The module of these runs with its optimiser, ready for ``optimise``, without a Trainer."""
    first = runs[0].config
    loaded = runs[0].resolved.weights
    means = None
    if first.normalize.activations:
        means = tuple(_activation_means(loaded, "vgg19", first.backbone.pooling))
    taps = set().union(*(run.taps for run in runs))
    backbone = VGG(
        loaded,
        "vgg19",
        taps,
        first.backbone.pooling,
        first.backbone.padding,
        means,
        dtype,
        first.backbone.tiling,
        winograd=True,
        convolutions=_convolutions(loaded, first.backbone.padding, means, dtype),
    )
    made = StyleTransfer(backbone, runs)
    if dtype == torch.float64:  # trajectories amplify rounding; only double precision is portable
        made.image.data = made.image.data.double()
    optimizer = made.configure_optimizers()
    _detach(made, optimizer)
    made.on_train_start()
    return made


def _detach(made: StyleTransfer, optimizer: torch.optim.Optimizer) -> None:
    """Puts in the place of a Trainer what the module has of it."""
    made.optimizers = lambda use_pl_optimizer=True: optimizer  # type: ignore[method-assign,assignment]
    made.manual_backward = torch.Tensor.backward  # type: ignore[method-assign]
    made._log = lambda losses: None  # type: ignore[method-assign]


def as_on_a_gpu(runs: list[Run], precision: str, device: str) -> StyleTransfer:
    """The module of these runs as a GPU would have it, without Winograd, begun on a device."""
    taps = set().union(*(run.taps for run in runs))
    backbone = network(resolved(runs[0], device=torch.device("cuda")), taps, precision)
    made = StyleTransfer(backbone, runs).to(device)
    optimizer = made.configure_optimizers()
    _detach(made, optimizer)
    made.on_train_start()
    return made


def convolution_case(
    count: int, channels: int, filters: int, height: int, width: int
) -> tuple[Tensor, Tensor, Tensor]:
    """An input as after a ReLU, weights (filters, channels, 3, 3) and biases, at random."""
    torch.manual_seed(0)
    x = torch.randn(count, channels, height, width).relu()
    weight = torch.randn(filters, channels, 3, 3) / (3 * channels**0.5)
    return x.contiguous(memory_format=torch.channels_last), weight, torch.randn(filters)


def optimise(made: StyleTransfer, steps: int | None = None) -> dict[str, Tensor]:
    """A bare loop over all steps and the end, or so many steps: every loss as (steps + 1, N)."""
    count = made.scales[-1].stop if steps is None else steps
    rows = [made.training_step(step, step)["losses"] for step in range(count)]
    rows.append(made.evaluate() if made.final is None else made.final["losses"])
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def assert_each_as_alone(runs: list[Run]) -> tuple[StyleTransfer, dict[str, Tensor]]:
    """Every run of a batch has the losses and the image that it has alone, in double precision.

    There trajectories can be compared step by step.

    Returns:
        The module of the batch, and its losses as of ``optimise``.
    """
    batch = module(runs, torch.float64)
    together = optimise(batch)
    for index, run in enumerate(runs):
        single = module([run], torch.float64)
        for name, value in optimise(single).items():
            torch.testing.assert_close(together[name][:, index], value[:, 0], rtol=1e-6, atol=1e-12)
        torch.testing.assert_close(batch.image[index], single.image[0], rtol=0, atol=1e-6)
    return batch, together


def nst(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end in a process of its own (``tests.commands``)."""
    return commands.run("nst", arguments, cwd, _environment(**environment))


def nst_report(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The same for ``nst-report``."""
    return commands.run("nst.cli.report", arguments, cwd, _environment(**environment))


def started(arguments: list[str], cwd: Path, **environment: str) -> commands.Process:
    """Starts the command in a process of its own, and does not wait for it."""
    return commands.Process("nst", arguments, cwd, _environment(**environment))


def _environment(**more: str) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if key != "HYDRA_FULL_ERROR"}
    return {**clean, "COLUMNS": "200", **more}
