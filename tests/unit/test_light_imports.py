"""Lightning is imported without PyTorch's compiler, torchmetrics' metrics and Matplotlib.

All work when they are used.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.helpers import first_of

LIGHT = """
import sys
import nst, lightning.pytorch, torchmetrics
heavy = {
    "torchmetrics.functional", "torchvision", "scipy", "matplotlib", "sympy", "torch._dynamo.config"
}
assert not heavy & {*sys.modules}, heavy & {*sys.modules}
assert torchmetrics.__version__ and not hasattr(torchmetrics, "__nothing__")
from torchmetrics import Metric, MetricCollection
assert "torchmetrics.functional" not in sys.modules
"""

USED = """
import nst, lightning, torch, torchmetrics, pickle
from torchmetrics import Metric
{use}
metric = torchmetrics.SumMetric()
assert isinstance(metric, Metric) and isinstance(metric, torchmetrics.Metric)
assert metric(3.0) == 3 and isinstance(pickle.loads(pickle.dumps(metric)), Metric)
assert type(torchmetrics) is type(torch) and not hasattr(torchmetrics, "nothing")
"""


def _run(code: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_lightning_needs_little_of_torchmetrics() -> None:
    _run(LIGHT)


@pytest.mark.parametrize(
    "use",
    first_of(["", "import torchmetrics.image", "from torchmetrics.functional import accuracy"]),
)
def test_the_rest_is_imported_when_it_is_used(use: str) -> None:
    _run(USED.format(use=use))


def test_what_was_imported_before_is_kept() -> None:
    _run("import torchmetrics; torchmetrics.Accuracy\nimport nst\nassert torchmetrics.Accuracy")


STEP = """
import sys
import nst, torch, lightning.pytorch
torch.use_deterministic_algorithms(True)
weight = torch.nn.Parameter(torch.ones(3))
optimizer = torch.optim.SGD([weight], lr=0.5)
optimizer.zero_grad()
weight.sum().backward()
optimizer.step()
assert weight.tolist() == [0.5] * 3
"""
"""What PyTorch passes through its compiler's ``disable``, and has its compiler's config for."""

COMPILED = """
assert "sympy" not in sys.modules
from lightning.fabric.wrappers import OptimizedModule
import torch._inductor.config
assert torch._inductor.config.deterministic is True
double = torch.nn.Linear(3, 3)
assert not isinstance(double, OptimizedModule)
compiled = torch.compile(double, backend="eager")
assert isinstance(compiled, OptimizedModule)
assert torch.equal(compiled(torch.ones(3)), double(torch.ones(3)))
assert isinstance(compiled, torch._dynamo.OptimizedModule)
assert type(torch._dynamo) is type(torch) and type(torch._inductor) is type(torch)
optimizer.zero_grad(set_to_none=False)
assert weight.grad.tolist() == [0] * 3
"""

PLOTTED = """
import nst, lightning, torchmetrics
metric = torchmetrics.MetricCollection([torchmetrics.SumMetric()])
metric.update(3.0)
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
figure, axes = plt.subplots()
(found, _), = metric.plot(ax=[axes])
metric.plot(ax=axes, together=True)
"""


def test_a_step_needs_no_compiler_and_the_compiler_works() -> None:
    _run(STEP + COMPILED)


def test_metrics_are_plotted() -> None:
    _run(PLOTTED)
