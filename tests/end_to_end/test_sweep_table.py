"""What ends a sweep: tags that fit, and a table with a row per run, told to W&B for real."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from nst.config.compose import conf_dir
from nst.runner.record import RunRecord
from nst.runner.tags import LONGEST, tags
from nst.sweeps import summary_table
from nst.sweeps.contact_sheet import CELL, FRAMES, GAP, filmstrip
from nst.sweeps.summary_table import Summary, aligned
from nst.vgg.architecture import conv_names
from tests.helpers import config, nst
from tests.wandb_server import Stored, WandbServer

SWEEP = ("-m", "init=noise,content", "content.path=missing.jpg,builtin:coffee", "weights=mild")
TINY = ("image.size=48", "steps=6", "snapshot_every=4")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            ["+experiments=weights"],
            {"experiment=weights", "init=blend", "layers.style=conv 1,2,5,9,13"}
            | {"layers.content=conv4_2", "weights.style=1e5", "weights.content=1"},
        ),
        (
            ["task=texture_synthesis", "init=noise", "layers.style=[relu1_1,conv1_2]"],
            {"task=texture_synthesis", "layers.style=relu1_1,conv1_2", "backbone=vgg19"},
        ),
        (["weights.tv=2.5e-6", "weights.style=0.05"], {"weights.tv=2.5e-6", "weights.style=0.05"}),
    ],
    ids=["experiment", "texture", "numbers"],
)
def test_tags_say_what_a_run_is(overrides: list[str], expected: set[str]) -> None:
    found = tags(config(*overrides))
    assert expected <= set(found)
    assert all("=" in tag for tag in found)  # a bare "single" would tell nobody anything
    task_only = "task=texture_synthesis" in found
    assert any(tag.startswith("layers.content") for tag in found) != task_only


def test_no_tag_is_longer_than_wandb_takes_and_none_is_ambiguous() -> None:
    every = conv_names("vgg19") + [name.replace("conv", "relu") for name in conv_names("vgg19")]
    found = [
        tags(config(f"layers.style=[{','.join(layers)}]", f"experiment.name={'x' * 90}"))
        for layers in (every, every[:-1], every[:16])
    ]
    assert all(1 <= len(tag) <= LONGEST for each in found for tag in each)
    assert len({tag for each in found for tag in each if tag.startswith("layers.style")}) == 3
    assert "layers.style=conv " + ",".join(map(str, range(1, 17))) in found[2]


def test_a_filmstrip_has_the_snapshots_in_order(tmp_path: Path) -> None:
    (tmp_path / "snapshots").mkdir()
    assert filmstrip(RunRecord(tmp_path)) is None
    for step in range(25):
        image = Image.new("RGB", (CELL, CELL), (10 * step, 0, 0))
        image.save(tmp_path / "snapshots" / f"{step:05d}.png")
    strip = filmstrip(RunRecord(tmp_path))
    assert strip is not None
    assert strip.size == (FRAMES * CELL + (FRAMES - 1) * GAP, CELL)
    reds = np.array(strip)[CELL // 2, CELL // 2 :: CELL + GAP, 0].tolist()
    assert reds == sorted(reds)
    assert (reds[0], reds[-1]) == (0, 240)


def test_columns_have_one_type_each() -> None:
    """W&B refuses a table with ``equal`` beside ``2.0``; 1 beside 1.5 is fine."""
    found = aligned([{"a": "equal", "b": 1}, {"a": 2.0, "b": 1.5, "c": True}, {"b": None}])
    assert [list(row) for row in found] == [["a", "b", "c"]] * 3
    assert [row["a"] for row in found] == ["equal", "2.0", None]
    assert [row["b"] for row in found] == [1, 1.5, None]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, WandbServer, Any]:
    """A sweep of two runs and two jobs that cannot begin, online."""
    folder = tmp_path_factory.mktemp("told")
    with WandbServer() as server:
        online = ("logger.wandb.mode=online", "logger.wandb.project=here")
        ended = nst(*SWEEP, *TINY, *online, cwd=folder, **server.environment)
        assert ended.returncode == 2, ended.stderr
    return folder, server, ended


def _split(server: WandbServer) -> tuple[list[Stored], Stored]:
    runs = list(server.runs.values())
    (summary,) = [run for run in runs if run.job_type == "sweep"]
    return [run for run in runs if run is not summary], summary


def test_runs_of_a_sweep_have_its_group_their_config_and_tags(
    told: tuple[Path, WandbServer, Any],
) -> None:
    folder, server, _ = told
    (sweep,) = (folder / "outputs" / "sweeps").iterdir()
    runs, summary = _split(server)
    assert len(runs) == 2
    assert {run.group for run in [*runs, summary]} == {sweep.name}
    assert {run.project for run in [*runs, summary]} == {"here"}
    assert {run.job_type for run in runs} == {"style_transfer"}
    for run, init in zip(runs, ("noise", "content"), strict=True):
        values = {key: node["value"] for key, node in run.config.items()}
        assert values["task"] == "style_transfer"
        assert values["init"]["name"] == init
        style = [f"relu{block}_1" for block in range(1, 6)]
        assert values["layers"] == {"content": ["relu4_2"], "style": style}
        assert values["weights"] == {"content": 1.0, "style": 1e4, "tv": 0.0, "spectrum": 0.0}
        assert values["experiment"]["name"] == "sweep"
        assert {f"init={init}", "weights.style=1e4", "task=style_transfer"} <= set(run.tags)


def test_metrics_and_images_are_at_the_same_steps_in_all_runs(
    told: tuple[Path, WandbServer, Any],
) -> None:
    folder, server, _ = told
    runs, _ = _split(server)
    kept = [
        {key: sorted(step for step, row in run.history.items() if key in row) for key in keys}
        for run in runs
        for keys in [{key for row in run.history.values() for key in row}]
    ]
    assert kept[0] == kept[1]
    assert kept[0]["loss/total"] == list(range(7))
    assert kept[0]["snapshot"] == [0, 4, 6]
    assert kept[0]["final"] == kept[0]["measure/gram_distance"] == [6]
    for run in runs:
        assert run.complete
        assert run.doubled == []
        own = folder / "outputs" / "runs" / run.display_name
        with (own / "metrics.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for step, row in run.history.items():
            assert row["loss/total"] == pytest.approx(float(rows[step]["loss/total"]))
        for step in (0, 4, 6):
            (name,) = run.history[step]["snapshot"]["filenames"]
            assert run.files[name] == (own / "snapshots" / f"{step:05d}.png").read_bytes()


def test_the_sweep_ends_with_a_table_of_its_runs(told: tuple[Path, WandbServer, Any]) -> None:
    folder, server, _ = told
    (sweep,) = (folder / "outputs" / "sweeps").iterdir()
    runs, summary = _split(server)
    assert summary.display_name == sweep.name
    assert summary.complete
    assert summary.exit_code == 0
    assert sorted(summary.history) == [0]
    picture = summary.files[summary.history[0]["side_by_side"]["path"]]
    assert picture == (sweep / "side_by_side.png").read_bytes()

    (name,) = server.committed
    assert name == f"run-{summary.id}-runs"
    uploaded = server.artifacts[name]
    table = json.loads(uploaded["runs.table.json"])
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [row["job"] for row in rows] == [0, 1, 2, 3]
    assert [row["status"] for row in rows] == ["failed", "completed"] * 2
    assert [row["overrides"].split()[0] for row in rows] == ["init=noise"] * 2 + [
        "init=content"
    ] * 2
    for row in rows[::2]:
        assert row["reason"].startswith("content.path=missing.jpg: no such file")
        assert row["final"] is None
        assert row["loss/total"] is None
    for row, run in zip(rows[1::2], runs, strict=True):
        own = folder / "outputs" / "runs" / run.display_name
        facts = json.loads((own / "run.json").read_text(encoding="utf-8"))
        assert row["run"] == own.name
        assert row["init"] == run.config["init"]["value"]["name"]
        assert row["seconds"] == facts["seconds"]
        assert row["steps"] == 6
        assert row["loss/total"] == facts["losses"]["loss/total"]
        assert row["measure/psnr"] == facts["measures"]["psnr"]
        final, strip = (
            np.array(Image.open(io.BytesIO(uploaded[row[key]["path"]])))
            for key in ("final", "snapshots")
        )
        assert np.array_equal(final, np.array(Image.open(own / "final.png")))
        assert strip.shape == (CELL, 3 * 270 + 2 * GAP, 3)  # steps 0, 4 and 6, of 72x48 px


def test_one_folder_has_the_wandb_files_of_the_whole_sweep(
    told: tuple[Path, WandbServer, Any],
) -> None:
    """For `wandb leet` and `wandb sync`: links that stay right if outputs/ is moved."""
    folder, server, _ = told
    moved = folder.rename(folder.with_name("moved"))
    try:
        (sweep,) = (moved / "outputs" / "sweeps").iterdir()
        found = {path.stem.removeprefix("run-") for path in sweep.glob("wandb/run-*/*.wandb")}
        assert found == set(server.runs)
    finally:
        moved.rename(folder)


@pytest.mark.parametrize("logger", ["none", "csv"])
def test_without_wandb_there_is_no_such_run(logger: str, tmp_path: Path) -> None:
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        composed = compose("config", overrides=[f"logger={logger}"])
    summary_table.log(composed, tmp_path, Summary([{"job": 0, "status": "failed"}], [], None))
    assert list(tmp_path.iterdir()) == []
