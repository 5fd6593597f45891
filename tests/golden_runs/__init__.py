"""Run folders that the commands in ``COMMANDS`` must go on making, bit for bit.

``python -m tests.golden_runs [CASE]...`` makes them anew, in ``folders/``. A commit that changes
them says so.
What is kept of a run: ``config.yaml``, ``metrics.csv`` without its seconds, the pictures, and of
``run.json`` what does not differ between two runs of the same command.
"""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from nst.cli.main import invoke

FOLDERS = Path(__file__).with_name("folders")
MACHINE = ("device", "processor", "instruction_sets", "threads", "packages")
"""Of ``run.json``: what decides the bits. Where it differs, pictures agree only roughly."""

_TINY = ("image.size=48", "steps=10", "snapshot_every=5", "precision=32", "logger=none")
_SETTINGS = ("+preset=report", *_TINY, "style=ihc")  # a photo: brushstrokes differs by processor
_SWEEP = ("-m", "hydra/launcher=vectorized")

COMMANDS: dict[str, list[list[str]]] = {
    "lbfgs": [["init=noise", "weights.tv=10"]],
    "adam_pyramid": [["init=blend", "optimizer=adam", "schedule=pyramid", "image.size=64"]],
    "lbfgs_pyramid": [["init=content", "schedule=pyramid", "image.size=64", "style.size=80"]],
    "content_reconstruction": [
        ["task=content_reconstruction", "init=noise", "layers.content=[conv2_1]"]
    ],
    "texture_synthesis": [
        ["task=texture_synthesis", "init=noise", "init.kind=gaussian", "backbone.pooling=average"]
    ],
    "bfloat16": [["init=content", "precision=bf16", "schedule.precise=0.4"]],
    "sweep": [
        [
            *_SWEEP,
            "init=noise,content",
            "weights=mild,strong",
            "layer_weights.style=equal,[1,2,3,4,5]",
            "image.size=32",
        ]
    ],
    "diverged": [
        [
            *_SWEEP,
            "init=noise,content",
            "weights.style=300",
            "layers=textbook",
            "normalize=textbook",
            "optimizer=lbfgs_textbook",
            "divergence=2",
        ]
    ],
    "resumed": [
        ["init=noise", "seed=3", "+trainer.max_steps=4"],
        ["init=noise", "seed=3"],
    ],
}
"""The commands that make each case, one after the other; an unfinished one ends with status 1."""


def make(case: str, outputs: Path) -> list[Path]:
    """Runs the commands of a case; its run folders, by name."""
    for overrides in COMMANDS[case]:
        flags = [each for each in overrides if each.startswith("-")]
        with contextlib.chdir(outputs.parent):
            status = invoke([*flags, *_SETTINGS, f"outputs={outputs}", *overrides[len(flags) :]])
        if status not in (0, 1):
            raise RuntimeError(f"{case}: exit status {status}")
    return sorted((outputs / "runs").iterdir())


def keep(folder: Path, to: Path) -> None:
    """Copies what is compared of a run folder."""
    to.mkdir(parents=True)
    (to / "config.yaml").write_text(_config(folder))
    (to / "metrics.csv").write_text("".join(f"{','.join(row)}\n" for row in _metrics(folder)))
    facts = json.loads((folder / "run.json").read_text())
    kept = {
        name: value
        for name, value in facts.items()
        if name not in ("wandb_id", "git_commit", "seconds", "sha256")
    }
    (to / "run.json").write_text(json.dumps(kept, indent=2) + "\n")
    for picture in pictures(folder):
        target = to / picture
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(folder / picture, target)


def pictures(folder: Path) -> list[Path]:
    """Paths of a run's pictures, relative to its folder; not of its inputs."""
    return sorted(
        path.relative_to(folder) for path in folder.rglob("*.png") if path.parent.name != "inputs"
    )


def _config(folder: Path) -> str:
    """The config without what says where and when it ran."""
    outputs = folder.parents[1]
    text = (folder / "config.yaml").read_text().replace(str(outputs), "OUTPUTS")
    config = yaml.safe_load(text)
    config["run"] |= {"group": None, "wandb_id": None}
    return yaml.safe_dump(config, sort_keys=False)


def _metrics(folder: Path) -> Iterator[list[str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        for row in csv.reader(file):
            yield [row[0], *row[2:]]  # the second is seconds


def main(cases: Sequence[str] = ()) -> None:
    """Makes the folders of these cases anew; of none: of all."""
    if not cases:
        shutil.rmtree(FOLDERS, ignore_errors=True)
    for case in cases or COMMANDS:
        shutil.rmtree(FOLDERS / case, ignore_errors=True)
        with tempfile.TemporaryDirectory() as place:
            for folder in make(case, Path(place, "outputs")):
                keep(folder, FOLDERS / case / folder.name)
                print(FOLDERS / case / folder.name)
