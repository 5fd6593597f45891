"""The whole report by one command, against every run of it by the textbook loop in turn.

``python -m tests.bench_report`` takes an hour or more, nearly all of it for the textbook loop; what
that has done is kept in ``outputs/bench_report.json``, and the same command goes on from there
(``--fresh``: with ours run again, after a change).
``--sample K`` does K of the runs, drawn at random but always the same. The textbook loop gets as
many steps as the run of ours has, or ``--steps N``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from omegaconf import OmegaConf

from nst import layers
from nst.files import write_whole
from nst.folder import COMPLETED, read_status
from nst.module import StyleTransfer
from nst.run import Run, prepare
from nst.schema import Config
from tests.bench_loop import ROOT, THREADS, Ask, environment, tell, textbook, write_problem
from tests.bench_rows import Row, merge, table
from tests.helpers import module

SIZE = 128
GOAL = 5.0
SEED = 0  # of the sample
KEPT = Path("outputs/bench_report.json")
OUTPUTS = Path("outputs/bench_report")
FINAL = "final.pt"

FAST: list[str] = []
"""Settings of ours that the report is to be had fastest with."""

WITH_FINALS = "+trainer.callbacks=[{_target_: tests.bench_report.KeepFinal}]"


class KeepFinal(L.Callback):
    """Keeps the results as they are: a PNG file has them rounded to 8 bits."""

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        assert isinstance(pl_module, StyleTransfer)
        for run, image in zip(pl_module.runs, pl_module.image.detach(), strict=True):
            folder = run.config.run.folder
            assert folder is not None
            torch.save(image.float().cpu().clone(), Path(folder) / FINAL)


@dataclass
class Kept:
    """What is done so far.

    Attributes:
        ours: ``seconds`` of the command and its ``words``; empty: not run yet, or to be run again.
        theirs: by what the loop was given, its ``seconds`` and ``loss``.
    """

    path: Path
    ours: dict[str, Any]
    theirs: dict[str, dict[str, float]]

    @classmethod
    def read(cls, path: Path) -> Kept:
        """What the file has, if there is one."""
        found = json.loads(path.read_text()) if path.exists() else {}
        return cls(path, found.get("ours", {}), found.get("theirs", {}))

    def write(self) -> None:
        """Writes it down, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"ours": self.ours, "theirs": self.theirs}, indent=1)
        write_whole(self.path, f"{text}\n".encode())


def measure(
    names: Sequence[str] = (),
    overrides: Sequence[str] = (f"image.size={SIZE}", *FAST),
    sample: int | None = None,
    steps: int | None = None,
    kept: Path = KEPT,
    outputs: Path = OUTPUTS,
) -> list[Row]:
    """The rows of this part.

    Args:
        names: of experiments; none: all.
        overrides: of every run.
        sample: so many of the runs; None: all of them.
        steps: of the textbook loop; None: as many as each run of ours has.
        kept: what is done so far.
        outputs: where the report goes.
    """
    done = Kept.read(kept)
    words = [*names, *overrides, WITH_FINALS]
    if done.ours.get("words") != words or not outputs.is_dir():
        done.ours = {"words": words, "seconds": _report(words, outputs)}
        done.write()
    runs = _runs(outputs)
    chosen = sorted(runs) if sample is None else _sample(sorted(runs), sample)
    losses = {name: _loss(runs[name], outputs / "runs" / name) for name in chosen}
    theirs: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder, textbook() as ask:
        for number, name in enumerate(chosen):
            tell(f"the textbook loop: run {number + 1}/{len(chosen)}: {name}")
            problem = write_problem(runs[name], Path(folder) / "problem.pt")
            theirs[name] = _one(problem, steps or runs[name].config.steps, ask, done)
    rows = _rows(runs, done.ours["seconds"], losses, theirs, steps)
    done.ours = {}  # finished: the next time it is measured again
    done.write()
    return rows


def _rows(
    runs: Mapping[str, Run],
    ours: float,
    losses: Mapping[str, float],
    theirs: Mapping[str, Mapping[str, float]],
    steps: int | None,
) -> list[Row]:
    """The time of all, and how many of ours are at or below the textbook's loss."""
    seconds = sum(each["seconds"] for each in theirs.values())
    sampled = ""
    if len(theirs) < len(runs):
        # a run's time is about its work, so that a sample's share of the work is its share of time
        seconds *= sum(map(_work, runs.values())) / sum(_work(runs[name]) for name in theirs)
        sampled = f", theirs estimated from {len(theirs)} of them"
    above = {name for name in theirs if not losses[name] <= theirs[name]["loss"]}
    for name in sorted(above):
        tell(f"above the textbook's loss: {losses[name]:.4g}, {theirs[name]['loss']:.4g}: {name}")
    size = min(run.config.image.size for run in runs.values())
    counted = "as many steps as ours" if steps is None else f"{steps} steps"
    return [
        Row(
            f"the whole report, {size} px, {len(runs)} runs, against the textbook loop with "
            f"{counted} in turn{sampled}",
            "s",
            ours,
            seconds,
            seconds / ours,
            GOAL,
        ),
        Row(
            f"runs of the report at or below the textbook's loss, of {len(theirs)} (ours / theirs)",
            "runs",
            len(theirs) - len(above),
            len(theirs),
            (len(theirs) - len(above)) / len(theirs),
            1.0,
        ),
    ]


def _report(words: Sequence[str], outputs: Path) -> float:
    """Seconds of the command."""
    shutil.rmtree(outputs, ignore_errors=True)
    command = [sys.executable, "-m", "nst.report", "--run", "--outputs", str(outputs), *words]
    tell(f"ours: {' '.join(command[1:])}")
    began = time.perf_counter()
    ended = subprocess.run(command, cwd=ROOT, env=environment(), stdout=sys.stderr, check=False)
    if ended.returncode:  # the next attempt has to begin anew
        raise RuntimeError(f"the report ended with status {ended.returncode}")
    return time.perf_counter() - began


def _runs(outputs: Path) -> dict[str, Run]:
    """The distinct runs of the report by their folders' names, without schedule and tiles."""
    runs = {}
    for file in sorted((outputs / "runs").glob("*/config.yaml")):
        merged = OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.load(file))
        config = OmegaConf.to_object(merged)
        assert isinstance(config, Config)
        config.schedule.sizes, config.schedule.steps = [1.0], [1.0]
        runs[file.parent.name] = prepare(config)
    return runs


def _sample(names: Sequence[str], count: int) -> list[str]:
    return sorted(random.Random(SEED).sample(names, min(count, len(names))))


def _work(run: Run) -> float:
    """Multiply-adds of a run, as far as they differ between runs."""
    pixels = math.prod(run.shape(run.scales[-1]))
    return run.config.steps * pixels * max(layers.work(tap, "vgg19") for tap in run.taps)


def _loss(run: Run, folder: Path) -> float:
    """Of our result, in float32; infinite for a run that is not finished."""
    if read_status(folder) != COMPLETED:
        return math.inf
    image = torch.load(folder / FINAL, weights_only=True)[None]
    with torch.no_grad():
        return float(module([run]).objective(image)["total"].item())


def _one(problem: Path, steps: int, ask: Ask, done: Kept) -> dict[str, float]:
    """Seconds and loss of one run of the textbook loop, if need be from an earlier attempt."""
    digest = hashlib.sha256(f"{torch.__version__} {THREADS} {steps}".encode())
    digest.update(_content(problem))
    key = digest.hexdigest()[:16]
    if key not in done.theirs:
        found = ask(problem, steps)
        loss = found["final"] if math.isfinite(found["final"]) else math.inf
        done.theirs[key] = {"seconds": found["setup"] + found["seconds"][-1], "loss": loss}
        done.write()
    return done.theirs[key]


def _content(problem: Path) -> bytes:
    """What the loop is given, without what else a file of torch's has."""
    given = torch.load(problem, weights_only=True)
    digest = hashlib.sha256()
    for key in sorted(given):
        value = given[key]
        if key == "convolutions":
            value = [float(weight.double().sum()) for weight, _ in value]
        is_tensor = isinstance(value, torch.Tensor)
        digest.update(key.encode())
        digest.update(value.numpy().tobytes() if is_tensor else repr(value).encode())
    return digest.digest()


def main() -> None:
    """Measures, keeps the rows and prints the table."""
    parser = argparse.ArgumentParser(
        "tests.bench_report", description="The whole report against the textbook loop."
    )
    parser.add_argument("words", nargs="*", metavar="EXPERIMENT | KEY=VALUE")
    parser.add_argument("--sample", type=int, metavar="K", help="K of the runs only")
    parser.add_argument("--steps", type=int, metavar="N", help="of the textbook loop, always")
    parser.add_argument("--fresh", action="store_true", help="run ours again in any case")
    options = parser.parse_args()
    if options.fresh:
        done = Kept.read(KEPT)
        done.ours = {}
        done.write()
    names = [word for word in options.words if "=" not in word]
    overrides = [f"image.size={SIZE}", *FAST, *(word for word in options.words if "=" in word)]
    print(table(merge("report", measure(names, overrides, options.sample, options.steps))))


if __name__ == "__main__":
    main()
