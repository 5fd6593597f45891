"""The runs of studies: what the filter selects, and what the page gets of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nst.cli import report
from nst.cli.main import invoke
from nst.compare import studies
from nst.compare.comparison import build
from nst.compare.select import entries, select
from nst.runner.record import RunRecord
from nst.sweeps.search import record
from nst.sweeps.search.table import rows
from nst.utils.errors import ConfigError, NstError
from tests.commands import LIMIT

pytestmark = pytest.mark.usefixtures("tiny_backbone")

OUTPUTS = Path("outputs")
TINY = (
    *("image.size=32", "steps=4", "snapshot_every=1", "logger=none", "init=noise"),
    *("layers.content=[conv2_1]", "layers.style=[conv1_1,conv2_1]", "divergence=null"),
)
SEARCH = (
    *("-m", "hydra/sweeper=optuna", "hydra/launcher=vectorized", *TINY),
    "hydra.sweeper.trials_per_batch=9",
)
TWO = ("objective=[content_distance,patch_distance]", "hydra.sweeper.n_trials=4")
PRUNED = "++hydra.sweeper.pruner={_target_: optuna.pruners.ThresholdPruner, upper: 1e4}"
WEIGHTS = "weights.style=1,1e30"
# so many random trials that every value is among them; trials of one value share a run
MANY = ("hydra.sweeper.n_trials=24", "hydra.sweeper.trials_per_batch=24")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["nst"])


def _selected(*words: str) -> set[str]:
    return {entry.name for entry in select(entries(OUTPUTS), words)}


def _runs(name: str) -> set[str | None]:
    return {trial.run for trial in record.read(OUTPUTS, name).trials}


def _data(*words: str) -> dict[str, Any]:
    """What the page gets."""
    build(OUTPUTS, words)
    text = (OUTPUTS / "compare/runs.js").read_text()
    found: dict[str, Any] = json.loads(text.removeprefix("nstRuns(").removesuffix(");\n"))
    return found


def test_runs_belong_to_every_study_that_has_them(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever their config says: they were computed before one of the studies, or both."""
    assert invoke(["-m", *TINY, "weights.tv=2"]) == 0
    assert invoke([*SEARCH, *TWO, "study=one", "weights.tv=0,1,2"]) == 0
    assert invoke([*SEARCH, *TWO, "study=two", "weights.tv=2,3"]) == 0
    assert _selected("study=one") == _runs("one")
    assert _selected("study=two") == _runs("two")
    assert _runs("one") & _runs("two")
    both = next(entry for entry in entries(OUTPUTS) if entry.name in _runs("one") & _runs("two"))
    assert both.facts["study"] == ["one", "two"]
    assert set(both.facts["trial"]) == {
        str(trial.number)
        for name in ("one", "two")
        for trial in record.read(OUTPUTS, name).trials
        if trial.run == both.name
    }
    for words, name in ((["study=one"], "one"), (["study=o*"], "one"), (["study=t*"], "two")):
        study = studies.selected(OUTPUTS, words)
        assert study is not None
        assert study.name == name
    for several in ([], ["study=one,two"], ["study=*"], ["one"]):
        assert studies.selected(OUTPUTS, several) is None
    with pytest.raises(ConfigError, match=r"^study=on: no such study; allowed: one, two$"):
        build(OUTPUTS, ["study=on"])
    assert report.report(["compare", "study=on"]) == 2
    # without the file, the config decides
    (OUTPUTS / "studies/two.db").unlink()
    (left,) = _selected("study=two")
    assert RunRecord(OUTPUTS / "runs" / left).config["weights"]["tv"] == 3
    assert _data("study=two")["study"] is None
    (OUTPUTS / "studies/one.db").write_bytes(b"no database")
    assert len(_data("sweep=last")["runs"]) >= 1
    problem = "outputs/studies/one.db cannot be read: DatabaseError: file is not a database"
    assert f"skipped: {problem}\n" in capsys.readouterr().err
    with pytest.raises(NstError, match=f"^{problem}$"):
        build(OUTPUTS, ["study=one"])


def test_the_data_of_a_study() -> None:
    assert invoke([*SEARCH, *TWO, "study=s", "weights.style=tag(log,interval(1e2,1e6))"]) == 0
    assert invoke(["-m", *TINY, "weights.tv=5"]) == 0
    assert _data()["study"] is None
    found = _data("study=s")
    study, read = found["study"], record.read(OUTPUTS, "s")
    assert study["name"] == "s"
    assert study["objective"] == [
        {"name": "content_distance", "title": "content distance", "higher": False},
        {"name": "patch_distance", "title": "patch distance", "higher": False},
    ]
    keys = {run["key"]: run["folder"] for run in found["runs"]}
    assert len(keys) == len(study["trials"]) == len(study["history"]) == 4
    for own, trial in zip(study["trials"], read.trials, strict=True):
        assert own["values"] == trial.values
        assert own["settings"] == trial.settings
        assert keys[own["run"]].endswith(f"/{trial.run}")
    assert study["front"] == [trial.number for trial in read.front]
    assert [list(each) for each in study["importances"]] == [["weights.style"]] * 2
    one = f"name={read.trials[0].run}"
    assert [bool(each["run"]) for each in _data("study=s", one)["study"]["trials"]] == [
        True,
        *[False] * 3,
    ]


def test_a_pruned_run_ends_with_its_best_picture() -> None:
    given = ("objective=[loss]", WEIGHTS, PRUNED, *MANY)
    assert invoke([*SEARCH, *given, "study=s", "hydra/sweeper/sampler=random"]) == 0
    found = _data("study=s")
    (pruned,) = (run for run in found["runs"] if run["facts"]["status"] == "pruned")
    assert pruned["reason"].endswith("(ThresholdPruner)")
    folder = OUTPUTS / "compare" / pruned["folder"]
    strip = pruned["filmstrip"]
    assert strip["files"][-1] == f"{pruned['folder']}/best.png"
    assert strip["steps"][-1] == RunRecord(folder).facts["best_step"]
    assert strip["steps"] == sorted(set(strip["steps"]))
    statuses = {trial["status"]: trial for trial in found["study"]["trials"]}
    assert statuses["pruned"]["reason"] == pruned["reason"]
    assert statuses["pruned"]["values"] == []


def test_the_table_of_trials() -> None:
    """Rows of one type per column, whatever became of the trials; pictures of those that have."""
    given = ("objective=[loss]", "weights.style=1,1e30,1e39", PRUNED, *MANY)
    assert invoke([*SEARCH, *given, "study=s", "hydra/sweeper/sampler=random"]) == 1
    study = record.read(OUTPUTS, "s")
    found = rows(OUTPUTS, study)
    columns = ["trial", "status", "reason", "loss", "weights.style", "final", "run"]
    assert [list(row) for row in found] == [columns] * 24
    assert {row["status"] for row in found} == {"completed", "pruned", "failed"}
    for row, trial in zip(found, study.trials, strict=True):
        assert row["weights.style"] == float(trial.settings["weights.style"])
        assert row["loss"] == (trial.values[0] if trial.values else None)
        assert row["run"] == trial.run
        if row["status"] != "failed":
            assert row["final"]().height == 32


WITHOUT = """
import sys
sys.modules["optuna"] = None  # as if it were not installed
from nst.cli.report import report
sys.exit(10 * report(["compare", "study=s"]) + report(["compare", "trial=0"]))
"""


def test_without_optuna() -> None:
    """The config of the runs decides; a page of other runs is as ever."""
    assert invoke([*SEARCH, *TWO, "study=s", "weights.tv=0,1"]) == 0
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT], check=False, capture_output=True, text=True, timeout=LIMIT
    )
    assert ended.returncode == 20, ended.stderr
    assert ended.stderr == "nst-report: study=s: needs Optuna: pip install 'nst[search]'\n"
    assert ended.stdout == "outputs/compare/index.html\n"
