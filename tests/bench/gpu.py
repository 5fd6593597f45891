"""Speed, memory and agreement on a GPU: ``make bench-gpu``.

Measures the first GPU and writes ``outputs/bench_gpu.md``. On a machine without one it measures the
processor at sizes where the numbers mean nothing: a test of itself, and the page says so. The exit
status is 1 if the GPU in float32 does not agree with the processor to rounding, or if a part fails.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor

from nst.optim import lbfgs
from nst.transfer.module import StyleTransfer
from nst.utils.files import write_whole
from tests.bench.loop import ROOT, environment, tell
from tests.bench.memory import GIB
from tests.bench.rows import Row, table
from tests.helpers import as_on_a_gpu, module, prepared
from tests.textbook import peak_memory

PAGE = Path("outputs/bench_gpu.md")
SETTINGS = [
    *("+preset=report", "force=true", "init=noise", "logger=none"),
    *("schedule.precise=0", "steps=1000000"),
]
AGREED = 5
"""Steps after which pictures are compared: L-BFGS amplifies rounding, and later they differ."""

GOALS = (1e-5, 1e-3, 1.0)
"""Differences of a loss, a gradient and a picture that are rounding in float32."""

WARM_UP = 4
"""Steps before the clock starts: compilation, the choice of kernels, the recording of a graph."""


class Way(NamedTuple):
    """How a step is computed.

    Attributes:
        name: in the table.
        precision: of the convolutions, ``32`` or ``bf16``.
        tf32: whether the GPU may round the factors of float32 products to 10 bits.
        compile: a mode of ``torch.compile``; None: eager.
    """

    name: str
    precision: str
    tf32: bool
    compile: str | None = None


FLOAT32 = Way("float32", "32", False)
EAGER = (FLOAT32, Way("TF32", "32", True), Way("bf16", "bf16", True))
WAYS = (
    *EAGER,
    *(each._replace(name=f"{each.name}, compiled", compile="default") for each in EAGER[1:]),
    *(each._replace(name=f"{each.name}, CUDA graphs", compile="reduce-overhead") for each in EAGER),
)


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        device: where.
        ways: of computing a step.
        sizes: of a picture whose step is timed, px.
        batches: numbers of pictures in a batch.
        batch_size: of those pictures, px.
        memory: sizes whose peak is measured, px.
        steps: in a round.
        rounds: in which all ways take turns.
        experiments: of the report; none: all of it.
        report: overrides of the report.
        agreement: size of the picture that is compared with the processor's, px.
    """

    device: torch.device
    ways: Sequence[Way] = WAYS
    sizes: Sequence[int] = (128, 256, 512, 1024)
    batches: Sequence[int] = (1, 4, 16, 64, 256)
    batch_size: int = 128
    memory: Sequence[int] = (512, 1024, 2048, 4096)
    steps: int = 30
    rounds: int = 5
    experiments: Sequence[str] = ()
    report: Sequence[str] = ("image.size=128",)
    agreement: int = 256


def plan() -> Plan:
    """For the first GPU; for the processor if there is none."""
    if torch.cuda.is_available():
        return Plan(torch.device("cuda", 0))
    return replace(
        Plan(torch.device("cpu")),
        ways=EAGER[::2],
        sizes=(32,),
        batches=(1, 2),
        batch_size=32,
        memory=(32,),
        steps=2,
        rounds=1,
        experiments=("two_noises",),
        report=("image.size=32", "steps=2", "logger=none"),
        agreement=48,
    )


def measure(given: Plan) -> Iterator[list[Row]]:
    """The rows of one part after the other; of a part that fails, one row without a figure."""
    parts: dict[str, Callable[[], list[Row]]] = {
        **{f"a step at {size} px": partial(_steps, given, size) for size in given.sizes},
        "batches": partial(_batches, given),
        **{f"memory at {size} px": partial(_memory, given, size) for size in given.memory},
        "agreement with the processor": partial(_agreement, given),
        "the report": partial(_report, given),
    }
    for name, part in parts.items():
        tell(name)
        try:
            yield part()
        except Exception:  # the others are worth having
            traceback.print_exc()
            yield [Row(f"{name}: failed", "", None)]


def begun(way: Way, device: torch.device, *overrides: str, count: int = 1) -> StyleTransfer:
    """The module of ``count`` runs on a device, ready for its first step."""
    compiled = [] if way.compile is None else [f"compile={way.compile}"]
    settings = [*SETTINGS, f"precision={way.precision}", *compiled, *overrides]
    runs = [prepared(*settings, f"seed={seed}") for seed in range(count)]
    return as_on_a_gpu(runs, way.precision, str(device))


class Clock:
    """Times steps of a module, after those of its warm-up.

    Args:
        made: of ``begun``.
        way: of computing a step.
    """

    def __init__(self, made: StyleTransfer, way: Way) -> None:
        self.made, self.way, self.done = made, way, 0
        self.run(WARM_UP)

    def run(self, steps: int) -> float:
        """Seconds per step."""
        with tf32(self.way.tf32):
            _wait(self.made.device)
            began = time.perf_counter()
            for step in range(self.done, self.done + steps):
                self.made.training_step(step, step)
            _wait(self.made.device)
        self.done += steps
        return (time.perf_counter() - began) / steps


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Allows or forbids TF32 in matrix products and convolutions."""
    flags: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn]
    before = [each.allow_tf32 for each in flags]
    try:
        for each in flags:
            each.allow_tf32 = allowed
        yield
    finally:
        for each, value in zip(flags, before, strict=True):
            each.allow_tf32 = value


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _steps(given: Plan, size: int) -> list[Row]:
    """Each way against float32, in turn."""
    size_is = f"image.size={size}"
    clocks = {way.name: Clock(begun(way, given.device, size_is), way) for way in given.ways}
    for clock in clocks.values():
        clock.run(WARM_UP)  # what one compiles, the next objective drops
    times: dict[str, list[float]] = {name: [] for name in clocks}
    for _ in range(given.rounds):
        for name, clock in clocks.items():
            times[name].append(clock.run(given.steps))
    first = times[FLOAT32.name]
    return [
        Row(
            f"seconds per step, {size} px, {name}, against {FLOAT32.name}",
            "s",
            statistics.median(own),
            statistics.median(first),
            statistics.median(theirs / ours for theirs, ours in zip(first, own, strict=True)),
        )
        for name, own in times.items()
    ]


def _batches(given: Plan) -> list[Row]:
    """Pictures per second in batches, against a batch of one."""
    way = [each for each in given.ways if each.compile is None][-1]
    size = f"image.size={given.batch_size}"
    rates = {}
    for count in given.batches:
        clock = Clock(begun(way, given.device, size, count=count), way)
        seconds = [clock.run(given.steps) for _ in range(given.rounds)]
        rates[count] = count / statistics.median(seconds)
    alone = rates[given.batches[0]]
    named = f"steps of a picture per second, {given.batch_size} px, {way.name}"
    return [
        Row(f"{named}, batch of {count} (ours / theirs)", "1/s", rate, alone, rate / alone)
        for count, rate in rates.items()
    ]


def _memory(given: Plan, size: int) -> list[Row]:
    """The peak of each eager way, each in a process of its own."""
    rows = []
    for way in given.ways:
        if way.compile is not None:
            continue
        command = [sys.executable, "-m", "tests.bench.gpu", "--peak", way.name, str(size)]
        ended = subprocess.run(
            command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
        )
        peak = None
        if ended.returncode:
            tell(f"ended with status {ended.returncode}: {ended.stderr[-500:]}")
        else:
            peak = json.loads(ended.stdout.splitlines()[-1]) / GIB
        rows.append(Row(f"peak memory, {size} px, {way.name}, history_size=10", "GiB", peak))
    return rows


def peak(name: str, size: int, device: torch.device) -> float:
    """Bytes that two steps of this way need with a whole history."""
    way = next(way for way in WAYS if way.name == name)
    with tf32(way.tf32), mock.patch.object(lbfgs, "GROWTH", 10**6):
        made = begun(way, device, f"image.size={size}", "optimizer.history_size=10")
        for step in range(2):
            made.training_step(step, step)
        _wait(device)
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    return peak_memory()


def _agreement(given: Plan) -> list[Row]:
    """The first gradient and the picture after some steps, against the processor in float32."""
    size = f"image.size={given.agreement}"
    there = module([prepared(*SETTINGS, "precision=32", size)])
    expected = _seen(there, FLOAT32)
    rows = []
    for way in given.ways:
        if way.compile is None:
            loss, gradient, picture = _seen(begun(way, given.device, size), way)
            own = f"{given.agreement} px, {way.name} against the processor"
            distance = (gradient - expected[1]).norm() / expected[1].norm()
            levels = 255 * (picture - expected[2]).abs().mean()
            found = {
                f"relative difference of the loss at step 0, {own}": abs(loss / expected[0] - 1),
                f"relative difference of the gradient at step 0, {own}": float(distance),
                f"mean difference in 255 of the picture after {AGREED} steps, {own}": float(levels),
            }
            goals = GOALS if way == FLOAT32 else (None, None, None)
            rows += [
                Row(figure, "", value, goal=goal, better="lower")
                for (figure, value), goal in zip(found.items(), goals, strict=True)
            ]
    return rows


def _seen(made: StyleTransfer, way: Way) -> tuple[float, Tensor, Tensor]:
    """(loss at step 0, its gradient (3, H, W), the image (3, H, W) after ``AGREED`` steps)."""
    with tf32(way.tf32):
        loss = made.objective(made.image)["total"].sum()
        (gradient,) = torch.autograd.grad(loss, made.image)
        for step in range(AGREED):
            made.training_step(step, step)
    return float(loss.detach()), gradient[0].cpu(), made.image[0].detach().cpu()


def _report(given: Plan) -> list[Row]:
    """Seconds for the tables of the report, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        accelerator = {"cuda": "gpu"}.get(given.device.type, given.device.type)
        command = [sys.executable, "-m", "nst.cli.report", "report", "--run", *given.experiments]
        command += ["--outputs", folder, "hydra/launcher=vectorized", *given.report]
        command += [f"trainer.accelerator={accelerator}"]
        began = time.perf_counter()
        subprocess.run(command, cwd=ROOT, env=environment(), check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
    tables = ", ".join(given.experiments) or "the whole report"
    return [Row(f"{tables} ({' '.join(given.report)})", "s", seconds)]


def page(device: torch.device, rows: Sequence[Row]) -> str:
    """The rows with what they were measured on, in Markdown."""
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        named = f"{found.name}, {found.total_memory / GIB:.0f} GiB, CUDA {torch.version.cuda}"
        note = "Ratios are theirs / ours, in turn, unless the figure says otherwise."
    else:
        named = f"the processor ({platform.machine()})"
        note = "**There is no GPU here: a test of the benchmark. Its numbers mean nothing.**"
    head = f"# `make bench-gpu`\n\nMeasured on {named}; {versions}.\n\n{note}\n\n"
    return f"{head}{table(rows)}\n"


def main() -> None:
    """Measures, writes the page and prints it."""
    parser = argparse.ArgumentParser("tests.bench.gpu", description="Measures nst on a GPU.")
    parser.add_argument("--peak", nargs=2, metavar=("WAY", "SIZE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    given = plan()
    if options.peak:
        name, size = options.peak
        print(json.dumps(peak(name, int(size), given.device)))
        return
    rows: list[Row] = []
    PAGE.parent.mkdir(exist_ok=True)
    for found in measure(given):
        rows += found
        write_whole(PAGE, page(given.device, rows).encode())
    print(page(given.device, rows))
    print(PAGE)
    failed = any(row.met is False or row.figure.endswith(": failed") for row in rows)
    sys.exit(failed)


if __name__ == "__main__":
    main()
