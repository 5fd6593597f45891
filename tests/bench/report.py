"""The whole report, against every run of it by the textbook loop in turn.

The textbook loop gets as many steps as the experiment's file says. Ours is asked for the same
tables with the settings of ``PARTS``, and each run ends once its loss is at or below the loop's, as
with ``until.loss``.

``python -m tests.bench.report`` takes an hour or more, nearly all of it for the textbook loop; what
that has done is kept in ``outputs/bench_report.json``, and the same command goes on from there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from omegaconf import OmegaConf

from nst.config.compose import conf_dir
from nst.config.schema import Config, UntilConfig
from nst.runner.inputs import prepare
from nst.runner.record import COMPLETED, read_status
from nst.transfer.module import StyleTransfer
from nst.transfer.run import Run
from nst.transfer.until import Until
from nst.utils.files import write_whole
from tests.bench.loop import ROOT, THREADS, Ask, environment, tell, textbook, write_problem
from tests.bench.rows import Row, merge, table
from tests.helpers import module

SIZE = 128
GOAL = 3.0
KEPT = Path("outputs/bench_report.json")
OUTPUTS = Path("outputs/bench_report")
FINAL = "final.pt"
MARGIN = 0.985
"""Of the loop's loss ours ends at. The loss that counts is evaluated again in float32, where it was
up to 1.1 % higher than in bfloat16."""

ASKED = ("task", "content", "style", "init", "seed", "layers", "weights")
"""What a run of the report is asked for; the rest is how it is computed."""

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


class Race(L.Callback):
    """Ends each run at the loop's loss, and keeps the results: PNG files are rounded to 8 bits.

    Args:
        losses: the file with the loop's loss for each request.
    """

    def __init__(self, losses: str) -> None:
        self.losses = json.loads(Path(losses).read_text())

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == 0:
            assert isinstance(pl_module, StyleTransfer)
            self.runs = list(pl_module.runs)
            losses = [self.losses[request(run.config)] for run in self.runs]
            ends = [UntilConfig(loss=MARGIN * loss) for loss in losses]
            pl_module.until = Until(ends, pl_module.device)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        assert isinstance(pl_module, StyleTransfer)
        found = dict(zip(pl_module.active, pl_module.image.detach(), strict=True))
        found |= {index: each.best.image for index, each in pl_module.departed.items()}
        for index, image in found.items():
            folder = self.runs[index].config.run.folder
            assert folder is not None
            torch.save(image.float().cpu().clone(), Path(folder) / FINAL)


def request(config: Config) -> str:
    """What a run is asked for, the same whatever it is computed with."""
    return json.dumps([asdict(config)[key] for key in ASKED], sort_keys=True)


@dataclass
class Kept:
    """What is done so far.

    Attributes:
        theirs: by what the loop was given, its ``seconds`` and ``loss``.
    """

    path: Path
    theirs: dict[str, dict[str, float]]

    @classmethod
    def read(cls, path: Path) -> Kept:
        """What the file has, if there is one."""
        found = json.loads(path.read_text()) if path.exists() else {}
        return cls(path, found.get("theirs", {}))

    def write(self) -> None:
        """Writes it down, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"theirs": self.theirs}, indent=1)
        write_whole(self.path, f"{text}\n".encode())


def measure(
    names: Sequence[str] = (),
    overrides: Sequence[str] = (f"image.size={SIZE}",),
    kept: Path = KEPT,
    outputs: Path = OUTPUTS,
) -> list[Row]:
    """The rows of this part.

    Args:
        names: of experiments; none: all.
        overrides: of every run.
        kept: what the loop has done so far.
        outputs: where the report goes.
    """
    done = Kept.read(kept)
    asked: dict[tuple[str, ...], list[str]] = {}
    for named, fast in PARTS:
        found = [name for name in named if not names or name in names]
        if found:
            asked[tuple(found)] = fast
    shutil.rmtree(outputs, ignore_errors=True)
    requests, ours = outputs / "requests", outputs / "report"
    for experiments in asked:  # one step each, to know what is asked for
        _report([*experiments, "hydra/launcher=vectorized", "steps=1", *overrides], requests)
    runs = _runs(requests)
    theirs: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder, textbook() as ask:
        for number, (name, run) in enumerate(sorted(runs.items())):
            tell(f"the textbook loop: run {number + 1}/{len(runs)}: {name}")
            problem = write_problem(run, Path(folder) / "problem.pt")
            steps = _steps(run, requests / "runs" / name)
            theirs[request(run.config)] = _one(problem, steps, ask, done)
    file = (outputs / "losses.json").resolve()
    file.write_text(json.dumps({key: each["loss"] for key, each in theirs.items()}))
    racing = f"+trainer.callbacks=[{{_target_: tests.bench.report.Race, losses: '{file}'}}]"
    seconds = sum(
        _report([*experiments, *fast, *overrides, racing], ours)
        for experiments, fast in asked.items()
    )
    losses: dict[str, float] = {}
    for name, run in _runs(ours).items():
        key = request(run.config)
        losses[key] = max(losses.get(key, -math.inf), _loss(run, ours / "runs" / name))
    return _rows(losses, theirs, seconds, overrides)


def _rows(
    losses: Mapping[str, float],
    theirs: Mapping[str, Mapping[str, float]],
    ours: float,
    overrides: Sequence[str],
) -> list[Row]:
    """The time of all, and how many of ours are at or below the textbook's loss."""
    seconds = sum(each["seconds"] for each in theirs.values())
    above = {key for key in theirs if not losses[key] <= theirs[key]["loss"]}
    for key in sorted(above):
        tell(f"above the textbook's loss: {losses[key]:.4g}, {theirs[key]['loss']:.4g}: {key}")
    return [
        Row(
            f"the whole report, {' '.join(overrides)}, {len(theirs)} runs, against the textbook "
            "loop in turn",
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


def _steps(run: Run, folder: Path) -> int:
    """What the files of its experiments ask for; without any, its own."""
    members = [json.loads(file.read_text()) for file in folder.glob("experiments/*.json")]
    names = {member["experiment"]["name"] for member in members}
    files = [Path(conf_dir()) / "experiments" / f"{name}.yaml" for name in names]
    return max((int(OmegaConf.load(file).steps) for file in files), default=run.config.steps)


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
    options = parser.parse_args()
    names = [word for word in options.words if "=" not in word]
    overrides = [f"image.size={SIZE}", *(word for word in options.words if "=" in word)]
    print(table(merge("report", measure(names, overrides))))


if __name__ == "__main__":
    main()
