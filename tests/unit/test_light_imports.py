"""Lightning is imported without the metrics of torchmetrics, which work when they are used."""

from __future__ import annotations

import subprocess
import sys

LIGHT = """
import sys
import nst, lightning.pytorch, torchmetrics
heavy = {"torchmetrics.functional", "torchvision", "scipy.signal"} & {*sys.modules}
assert not heavy, heavy
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


def test_the_rest_is_imported_when_it_is_used() -> None:
    for use in ("", "import torchmetrics.image", "from torchmetrics.functional import accuracy"):
        _run(USED.format(use=use))


def test_what_was_imported_before_is_kept() -> None:
    _run("import torchmetrics; torchmetrics.Accuracy\nimport nst\nassert torchmetrics.Accuracy")
