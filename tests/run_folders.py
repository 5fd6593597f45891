"""What tests read of run folders and their W&B records."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image

from nst.runner import checkpoint_file
from tests.commands import Process, wait_until


def run_folder(cwd: Path) -> Path | None:
    return next(iter((cwd / "outputs" / "runs").glob("*")), None)


def wait_for_checkpoint(
    process: Process | subprocess.Popen[str], cwd: Path, changed: float = 0
) -> None:
    """Until a checkpoint of any run is there that was written after the time given."""

    def written() -> bool:
        for path in (cwd / "outputs" / "runs").glob(f"*/{checkpoint_file.NAME}"):
            with suppress(OSError):  # the run has ended meanwhile
                if path.stat().st_mtime > changed:
                    return True
        return False

    wait_until(written, process)


def contents(folder: Path) -> dict[str, Any]:
    """All that must be the same however often a run was broken off."""
    with (folder / "metrics.csv").open() as file:
        rows = [
            {key: value for key, value in row.items() if key != "seconds"}
            for row in csv.DictReader(file)
        ]
    facts = json.loads((folder / "run.json").read_text())
    pictures = {path.name: path.read_bytes() for path in (folder / "snapshots").iterdir()}
    return {
        "final": (folder / "final.png").read_bytes(),
        "rows": rows,
        "snapshots": pictures,
        "facts": {name: facts[name] for name in ("status", "steps", "losses", "measures")},
    }


def wandb_records(folder: Path) -> list[dict[str, Any]]:
    """What W&B's own reader finds in the one offline run of this folder."""
    (path,) = folder.glob("wandb/offline-run-*")
    command = [str(Path(sys.executable).with_name("wandb")), "leet", "inspect", "--json", str(path)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def wandb_history(records: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    steps: dict[int, dict[str, Any]] = {}
    for record in records:
        if "history" not in record:
            continue
        items = record["history"]["item"]
        step = int(items["_step"])
        assert step not in steps
        steps[step] = items
    return steps


def two_names(place: Path) -> tuple[str, str]:
    """Overrides for the same picture under two names."""
    for name in ("one", "two"):
        Image.linear_gradient("L").convert("RGB").save(place / f"{name}.png")
    return f"content.path={place}/one.png", f"content.path={place}/two.png"


def made_up(
    outputs: Path, name: str, colour: tuple[int, int, int] = (90, 90, 90), **config: Any
) -> Path:
    """A finished run as the tool leaves it, with a result of one colour.

    Args:
        outputs: root folder.
        name: of the run folder.
        colour: of the result.
        config: its config, besides a content and a style.
    """
    folder = outputs / "runs" / name
    for part in ("inputs", "snapshots"):
        (folder / part).mkdir(parents=True)
    pair = {"content": {"path": "builtin:chelsea"}, "style": {"path": "builtin:waves"}}
    (folder / "config.yaml").write_text(json.dumps(pair | config))
    (folder / "run.json").write_text(json.dumps({"status": "completed", "signature": name[-10:]}))
    (folder / "metrics.csv").write_text("step,seconds,loss/total\n0,0.0,2.0\n1,0.1,1.0\n")
    for file in ("final", "snapshots/00000", "snapshots/00001"):
        Image.new("RGB", (48, 32), colour).save(folder / f"{file}.png")
    for part in ("content", "style"):
        Image.linear_gradient("L").convert("RGB").save(folder / "inputs" / f"{part}.png")
    return folder


def write_run(
    root: Path,
    experiment: Mapping[str, Any],
    overrides: list[str],
    jobs: list[list[str]],
    **facts: Any,
) -> Path:
    """The folder of an experiment's run as the tool leaves it, with these facts.

    Args:
        root: root folder.
        experiment: the declaration.
        overrides: of the job.
        jobs: the overrides of all jobs of the sweep.
        facts: of ``run.json``; and ``rows`` of ``metrics.csv``, the pixels ``image`` of the result,
            those of the inputs by name, and the ``config``.
    """
    folder = root / "runs" / "-".join(text.replace("=", "_") for text in overrides)
    (folder / "experiments").mkdir(parents=True)
    record = {"experiment": experiment, "overrides": overrides, "jobs": jobs}
    record |= {"base": "b", "asked": "2026"}
    (folder / "experiments" / f"{experiment['name']}-0.json").write_text(json.dumps(record))
    rows = facts.pop("rows", [])
    image = facts.pop("image", None)
    config = facts.pop("config", {})
    inputs = facts.pop("inputs", {})
    (folder / "run.json").write_text(json.dumps({"status": "completed", **facts}))
    (folder / "config.yaml").write_text(json.dumps(config))
    lines = ["step,seconds,loss/total", *(f"{a},{b},{c}" for a, b, c in rows)]
    (folder / "metrics.csv").write_text("\n".join(lines))
    if image is not None:
        Image.fromarray(image).save(folder / "final.png")
    for name, pixels in inputs.items():
        (folder / "inputs").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / "inputs" / f"{name}.png")
    return folder
