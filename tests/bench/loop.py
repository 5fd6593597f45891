"""What the parts of the benchmark share: the textbook loop in its own process, and settings."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nst import images
from nst.runner.resolve import resolve_precision
from nst.transfer.initial_image import initial_image
from nst.transfer.run import Run
from nst.vgg.architecture import conv_names
from nst.vgg.calibration import activation_means
from tests.helpers import embedded

THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))

ROOT = Path(__file__).parents[2]

BASE = ["+preset=report", "trainer.accelerator=cpu", "force=true"]
"""Of every run of ours: the report's settings, on the processor, and never found finished."""

Ask = Callable[[Path, int], dict[str, Any]]
"""Has the loop run on a file of ``write_problem`` for so many steps: see ``textbook.answer``."""


def precisions() -> list[str]:
    """The precisions to measure: what ``auto`` is here, and float32."""
    return list(dict.fromkeys([resolve_precision("auto", torch.device("cpu")), "32"]))


def environment() -> dict[str, str]:
    """What this process was started with: importing nst sets variables that others do not have."""
    started = Path("/proc/self/environ")
    if started.exists():
        pairs = (entry.partition(b"=") for entry in started.read_bytes().split(b"\0") if entry)
        found = {os.fsdecode(key): os.fsdecode(value) for key, _, value in pairs}
    else:
        found = dict(os.environ)
    return {**found, "OMP_NUM_THREADS": str(THREADS), "WANDB_MODE": "offline"}


@contextlib.contextmanager
def textbook() -> Iterator[Ask]:
    """The textbook loop in a process of its own, which waits between requests."""
    command = [sys.executable, "-m", "tests.textbook"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT, env=environment()
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        requests, answers = worker.stdin, worker.stdout

        def ask(file: Path, steps: int) -> dict[str, Any]:
            print(json.dumps({"file": str(file), "steps": steps}), file=requests, flush=True)
            line = answers.readline()
            if not line:
                raise RuntimeError(f"the textbook loop ended with status {worker.wait()}")
            found: dict[str, Any] = json.loads(line)
            return found

        try:
            yield ask
        except BaseException:
            worker.terminate()  # it may be in the middle of a long loop
            raise
        finally:
            requests.close()


def write_problem(run: Run, file: Path) -> Path:
    """Writes what the textbook loop needs to minimise the same function as a run of ours.

    Its convolutions are scaled as ``nst.vgg.network.VGG`` scales them, and where ours averages over
    the layers, its weights are divided by their number.

    Raises:
        ValueError: if the loop has no such function.
    """
    config = run.config
    convs = conv_names("vgg19")
    rules = {config.layer_weights.content, config.layer_weights.style}
    if run.taps - set(convs) or config.weights.tv or rules != {"equal"}:
        raise ValueError(f"the textbook loop cannot do this: {run.label()}")
    shape = run.shape(run.scales[-1])
    style = shape
    if run.style is not None:
        style = images.fit(run.style.image.size, config.style.size or config.image.size)
    blank = torch.zeros(1, 3, *shape)
    weights = embedded()
    means = [1.0] * len(convs)
    if config.normalize.activations:
        means = activation_means(weights, "vgg19", "max")
    terms: dict[str, Any] = {}
    for term, used in (("content", config.uses_content), ("style", config.uses_style)):
        layers = getattr(config.layers, term) if used else []
        divisor = max(len(layers), 1) if config.normalize.layers == "mean" else 1
        terms[f"{term}_layers"] = [convs.index(layer) + 1 for layer in layers]
        terms[f"{term}_weight"] = getattr(config.weights, term) / divisor
    torch.save(
        {
            "convolutions": [
                (weight * (before / mean), bias / mean)
                for (weight, bias), before, mean in zip(
                    weights.convolutions, [1.0, *means[:-1]], means, strict=True
                )
            ],
            "mean": weights.mean,
            "std": weights.std,
            "content": images.to_tensor(run.content, *shape)[None] if run.content else blank,
            "style": images.to_tensor(run.style, *style)[None] if run.style else blank,
            "image": start(run),
            **terms,
        },
        file,
    )
    return file


def start(run: Run) -> Tensor:
    """(1, 3, H, W), where a run of one scale starts."""
    config, shape = run.config, run.shape(run.scales[-1])
    image = initial_image(config.init, config.seed, *shape, run.content, run.style, run.init)
    return image[None]


def per_step(ends: Sequence[float]) -> float:
    """Seconds per step from the times at which evaluations ended; the first warms up."""
    return (ends[-1] - ends[0]) / (len(ends) - 1)


def logged_seconds(folder: Path) -> list[float]:
    """When each step of a finished run of ours ended."""
    with (folder / "metrics.csv").open() as file:
        # the last row is the evaluation of the result, after the last step
        return [float(row["seconds"]) for row in csv.DictReader(file)][:-1]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress lines between our own."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield


def tell(progress: str) -> None:
    """How far a long measurement is, on stderr."""
    print(progress, file=sys.stderr, flush=True)
