"""The whole report, against every run of it by the textbook loop in turn.

The textbook loop gets as many steps as the experiment's file says. Ours is asked for the same
tables with the settings of ``PARTS``: what counts is that its loss is at or below the loop's.

``python -m tests.bench.report`` takes an hour or more, nearly all of it for the textbook loop; what
that has done is kept in ``outputs/bench_report.json``, and the same command goes on from there
(``--fresh``: with ours run again, after a change).
``--sample K`` does K of the runs, drawn at random but always the same.
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

from nst.config.compose import conf_dir
from nst.config.schema import Config
from nst.runs.inputs import prepare
from nst.runs.record import COMPLETED, read_status
from nst.transfer.module import StyleTransfer
from nst.transfer.run import Run
from nst.utils.files import write_whole
from nst.vgg import architecture
from tests.bench.loop import ROOT, THREADS, Ask, environment, tell, textbook, write_problem
from tests.bench.rows import Row, merge, table
from tests.helpers import module

SIZE = 128
GOAL = 5.0
SEED = 0  # of the sample
KEPT = Path("outputs/bench_report.json")
OUTPUTS = Path("outputs/bench_report")
FINAL = "final.pt"

FEWER = ["hydra/launcher=vectorized", "optimizer.filter_power=0.5"]

PARTS: list[tuple[list[str], list[str]]] = [
    (["weights", "weights_grid", "additional", "blending"], [*FEWER, "steps=90"]),
    (["noise_or_content"], [*FEWER, "schedule=quick", "steps=134"]),
    (["texture_layers"], [*FEWER, "schedule=pyramid", "steps=135"]),
    # exact pixels are asked for: no filter is of help
    (["content_reconstruction"], [FEWER[0], "steps=110"]),
    (["two_noises"], [FEWER[0], "precision=32"]),
]
"""Experiments, and settings of ours that their tables are to be had fastest with."""

WITH_FINALS = "+trainer.callbacks=[{_target_: tests.bench.report.KeepFinal}]"


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
        ours: ``seconds`` of the commands and their ``words``; empty: not run yet, or to be run
            again.
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
    overrides: Sequence[str] = (f"image.size={SIZE}",),
    sample: int | None = None,
    kept: Path = KEPT,
    outputs: Path = OUTPUTS,
) -> list[Row]:
    """The rows of this part.

    Args:
        names: of experiments; none: all.
        overrides: of every run.
        sample: so many of the runs; None: all of them.
        kept: what is done so far.
        outputs: where the report goes.
    """
    done = Kept.read(kept)
    words = []
    for experiments, fast in PARTS:
        asked = [name for name in experiments if not names or name in names]
        if asked:
            words.append([*asked, *fast, *overrides, WITH_FINALS])
    if done.ours.get("words") != words or not outputs.is_dir():
        shutil.rmtree(outputs, ignore_errors=True)
        seconds = sum(_report(each, outputs) for each in words)
        done.ours = {"words": words, "seconds": seconds}
        done.write()
    runs = _runs(outputs)
    chosen = sorted(runs) if sample is None else _sample(sorted(runs), sample)
    losses = {name: _loss(runs[name], outputs / "runs" / name) for name in chosen}
    theirs: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder, textbook() as ask:
        for number, name in enumerate(chosen):
            tell(f"the textbook loop: run {number + 1}/{len(chosen)}: {name}")
            problem = write_problem(runs[name], Path(folder) / "problem.pt")
            theirs[name] = _one(problem, _steps(runs[name], outputs / "runs" / name), ask, done)
    rows = _rows(runs, outputs, done.ours["seconds"], losses, theirs)
    done.ours = {}  # finished: the next time it is measured again
    done.write()
    return rows


def _rows(
    runs: Mapping[str, Run],
    outputs: Path,
    ours: float,
    losses: Mapping[str, float],
    theirs: Mapping[str, Mapping[str, float]],
) -> list[Row]:
    """The time of all, and how many of ours are at or below the textbook's loss."""
    seconds = sum(each["seconds"] for each in theirs.values())
    sampled = ""
    if len(theirs) < len(runs):
        # a run's time is about its work, so that a sample's share of the work is its share of time
        kept = {name: outputs / "runs" / name for name in runs}
        work = {name: _work(run, _steps(run, kept[name])) for name, run in runs.items()}
        seconds *= sum(work.values()) / sum(work[name] for name in theirs)
        sampled = f", theirs estimated from {len(theirs)} of them"
    above = {name for name in theirs if not losses[name] <= theirs[name]["loss"]}
    for name in sorted(above):
        tell(f"above the textbook's loss: {losses[name]:.4g}, {theirs[name]['loss']:.4g}: {name}")
    size = min(run.config.image.size for run in runs.values())
    return [
        Row(
            f"the whole report, {size} px, {len(runs)} runs, against the textbook loop in turn"
            f"{sampled}",
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
    """Seconds of one command."""
    command = [sys.executable, "-m", "nst.cli.report", "--run", "--outputs", str(outputs), *words]
    tell(f"ours: {' '.join(command[1:])}")
    began = time.perf_counter()
    ended = subprocess.run(command, cwd=ROOT, env=environment(), stdout=sys.stderr, check=False)
    if ended.returncode:  # the next attempt has to begin anew
        raise RuntimeError(f"the report ended with status {ended.returncode}")
    return time.perf_counter() - began


def _runs(outputs: Path) -> dict[str, Run]:
    """The distinct runs of the report by their folders' names, without schedules."""
    runs = {}
    for file in sorted((outputs / "runs").glob("*/config.yaml")):
        merged = OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.load(file))
        config = OmegaConf.to_object(merged)
        assert isinstance(config, Config)
        config.schedule.sizes, config.schedule.steps = [1.0], [1.0]
        config.schedule.coarsest = None
        config.schedule.style = None
        runs[file.parent.name] = prepare(config)
    return runs


def _sample(names: Sequence[str], count: int) -> list[str]:
    return sorted(random.Random(SEED).sample(names, min(count, len(names))))


def _steps(run: Run, folder: Path) -> int:
    """What the files of its experiments ask for; without any, its own."""
    members = [json.loads(file.read_text()) for file in folder.glob("experiments/*.json")]
    names = {member["experiment"]["name"] for member in members}
    files = [Path(conf_dir()) / "experiments" / f"{name}.yaml" for name in names]
    return max((int(OmegaConf.load(file).steps) for file in files), default=run.config.steps)


def _work(run: Run, steps: int) -> float:
    """Multiply-adds of the textbook loop's run, as far as they differ between runs."""
    pixels = math.prod(run.shape(run.scales[-1]))
    return steps * pixels * max(architecture.work(tap, "vgg19") for tap in run.taps)


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
        "tests.bench.report", description="The whole report against the textbook loop."
    )
    parser.add_argument("words", nargs="*", metavar="EXPERIMENT | KEY=VALUE")
    parser.add_argument("--sample", type=int, metavar="K", help="K of the runs only")
    parser.add_argument("--fresh", action="store_true", help="run ours again in any case")
    options = parser.parse_args()
    if options.fresh:
        done = Kept.read(KEPT)
        done.ours = {}
        done.write()
    names = [word for word in options.words if "=" not in word]
    overrides = [f"image.size={SIZE}", *(word for word in options.words if "=" in word)]
    print(table(merge("report", measure(names, overrides, options.sample))))


if __name__ == "__main__":
    main()
