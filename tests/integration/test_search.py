"""Studies, from the command line to their file."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from PIL import Image

from nst.cli.main import invoke
from nst.runner import votes
from nst.runner.record import RunRecord, read_facts
from nst.runner.votes import Vote
from nst.sweeps.search import record
from nst.sweeps.search.record import StudyRecord
from nst.sweeps.search.sampling import Sampling
from nst.sweeps.search.study import Study, storage
from nst.transfer.departure import Why
from tests.helpers import first_of, module, slow, tiny_run

pytestmark = pytest.mark.usefixtures("tiny_backbone")

STEPS = 4
TINY = (
    *("image.size=32", f"steps={STEPS}", "snapshot_every=1", "logger=none", "init=noise"),
    *("layers.content=[conv2_1]", "layers.style=[conv1_1,conv2_1]"),
)
TWO = "objective=[content_distance,patch_distance]"
SPACE = ("weights.style=tag(log,interval(1e2,1e6))", "weights.tv=0,1")
SEARCH = ("-m", "hydra/sweeper=optuna", "study=s", *TINY)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["nst"])


def _search(*arguments: str) -> int:
    return invoke([*SEARCH, *arguments])


def _study() -> StudyRecord:
    return record.read(Path("outputs"), "s")


def _run(name: str | None) -> RunRecord:
    assert name is not None
    return RunRecord(Path("outputs/runs") / name)


@pytest.mark.parametrize(
    ("launcher", "sampler"),
    [
        ("vectorized", "tpe"),
        *first_of([("basic", "random"), ("basic", "tpe"), ("vectorized", "random")]),
        *(pytest.param(launcher, "nsga2", marks=slow) for launcher in ("basic", "vectorized")),
    ],
)
def test_a_study_and_its_continuation(
    launcher: str, sampler: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The values are those of the runs; the same command with more trials adds to them."""
    given = (TWO, *SPACE, f"hydra/launcher={launcher}", f"hydra/sweeper/sampler={sampler}")
    assert _search(*given, "hydra.sweeper.n_trials=6") == 0
    first = _study()
    assert [trial.number for trial in first.trials] == [*range(6)]
    for trial in first.trials:
        run = _run(trial.run)
        assert trial.status == run.status == "completed"
        assert trial.values == [run.measure("content_distance"), run.measure("patch_distance")]
        weight = run.config["weights"]["style"]
        assert float(trial.settings["weights.style"]) == weight
        assert 1e2 <= weight <= 1e6
        assert run.config["trial"] is not None
    assert len({trial.settings["weights.style"] for trial in first.trials}) == 6
    out = capsys.readouterr()
    assert "A new study created" not in out.out + out.err  # Optuna's log
    assert "study s: 6 of 6 trials: 6 completed" in out.out + out.err
    assert "front: outputs/studies/s.png" in out.out
    assert Image.open("outputs/studies/s.png").width > 300
    assert _search(*given, "hydra.sweeper.n_trials=8") == 0
    second = _study()
    assert second.trials[:6] == first.trials
    assert len(second.trials) == 8
    assert _search(*given, "hydra.sweeper.n_trials=8") == 0  # nothing is left to do
    assert _study().trials == second.trials


def test_finished_runs_are_found_by_their_signature() -> None:
    assert invoke(["-m", *TINY, "weights.tv=0,1"]) == 0
    before = {path: path.stat().st_mtime_ns for path in Path("outputs/runs").glob("*/run.json")}
    assert _search("objective=[loss/style]", "weights.tv=0,1", "hydra.sweeper.n_trials=4") == 0
    assert {path: path.stat().st_mtime_ns for path in Path("outputs/runs").glob("*/run.json")} == (
        before
    )
    study = _study()
    assert [trial.status for trial in study.trials] == ["completed"] * 4
    for trial in study.trials:
        assert trial.values == [read_facts(_run(trial.run).folder)["losses"]["loss/style"]]


PRUNED = "hydra.sweeper.pruner={_target_: optuna.pruners.ThresholdPruner, upper: 1e4}"


@pytest.mark.parametrize("launcher", ["basic", "vectorized"])
def test_pruned_trials(launcher: str) -> None:
    """A threshold that only the larger weight exceeds; ``loss`` is the weighted total."""
    weights = "weights.style=1,1e30"
    given = ("objective=[loss]", weights, "hydra.sweeper.n_trials=6", "++" + PRUNED)
    sampler = ("hydra/sweeper/sampler=random", f"hydra/launcher={launcher}", "divergence=null")
    assert _search(*given, *sampler) == 0
    study = _study()
    found = {trial.settings["weights.style"]: trial for trial in study.trials}
    assert {key: trial.status for key, trial in found.items()} == {
        "1": "completed",
        "1e+30": "pruned",
    }
    run = _run(found["1e+30"].run)
    assert run.status == "pruned"
    reason = run.facts["reason"]
    assert re.fullmatch(r"loss=\S+ at step 1 \(ThresholdPruner\)", reason)
    assert found["1e+30"].reason == reason
    assert run.picture("best") is not None
    assert run.picture("final") is None
    assert not list(run.folder.glob("*checkpoint*"))
    assert max(row["step"] for row in run.rows) < STEPS


def test_a_pruned_run_is_computed_when_it_is_wanted_otherwise() -> None:
    given = ("objective=[loss]", "weights.style=1e30,1e29", "divergence=null", "++" + PRUNED)
    assert _search(*given, "hydra.sweeper.n_trials=1") == 0
    (trial,) = _study().trials
    assert trial.status == "pruned"
    weight = trial.settings["weights.style"]
    assert invoke([*TINY, f"weights.style={weight}", "divergence=null"]) == 0
    assert _run(trial.run).status == "completed"
    assert _run(trial.run).picture("best") is None


def test_dominated_trials_stop_early() -> None:
    """After the small weight has completed, the large one is worse by both at every snapshot."""
    given = ("objective=[loss,loss/style]", "weights.style=1,1e30", "divergence=null")
    more = ("hydra.sweeper.stop_dominated=0", "hydra.sweeper.n_trials=8", "init.kind=gaussian")
    assert _search(*given, *more, "seed=0", "hydra/sweeper/sampler=random") == 0
    statuses = {trial.settings["weights.style"]: trial.status for trial in _study().trials}
    assert statuses["1"] == "completed"
    reasons = [trial.reason for trial in _study().trials if trial.status == "pruned"]
    assert all(re.match(r"trial \d+ was better by 0 at step \d: loss=", each) for each in reasons)


def test_failures_are_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    """A trial that diverges is a failed one, with its reason; the study goes to its end."""
    given = ("objective=[loss]", "weights.style=1,1e39", "hydra.sweeper.n_trials=6")
    assert _search(*given, "hydra/sweeper/sampler=random") == 1
    found = {trial.settings["weights.style"]: trial for trial in _study().trials}
    assert found["1"].status == "completed"
    assert found["1e+39"].status == "failed"
    assert "the loss is not finite" in found["1e+39"].reason
    assert len(_study().trials) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("study=null", TWO, *SPACE), "study=null: a search needs a name"),
        (("study=a/b", TWO, *SPACE), "study=a/b: must be letters"),
        (SPACE, "objective=[]: a search needs metrics or losses"),
        (("objective=[patchdistance]", *SPACE), "did you mean patch_distance?"),
        (("objective=[lpips]", *SPACE), "objective=lpips: needs learned_metrics=[lpips]"),
        (("objective=[ssim,ssim]", *SPACE), "each name once"),
        (
            ("objective=[ssim]", "task=texture_synthesis", *SPACE),
            "objective=ssim: task=texture_synthesis has no content",
        ),
        ((TWO,), "hydra/sweeper=optuna: nothing to search"),
        ((TWO, "weights.style=interval(2,1)"), "weights.style=interval(2,1): the lower bound"),
        ((TWO, "weights.tv=tag(log,interval(0,1))"), "both bounds must be above 0"),
        ((TWO, "weights.style=interval(-1,1)"), "weights.style=-1"),
        ((TWO, "layers=report,reprot"), "layers=reprot: no such option"),
        ((TWO, "layers.style=[conv1_1],[conv9_1]"), "conv9_1"),
        ((TWO, *SPACE, "image.size=0"), "image.size=0"),
        ((TWO, *SPACE, "hydra.sweeper.n_trials=0"), "n_trials=0: must be a whole number from 1"),
        ((TWO, *SPACE, "hydra/sweeper/pruner=median"), "pruner=median: prunes by one objective"),
        (
            ("objective=[preference]", *SPACE, "hydra/sweeper/pruner=median"),
            "pruner=median: objective=[preference] is known of finished pictures only",
        ),
        ((TWO, *SPACE, "hydra/sweeper/sampler=cmaes"), "sampler=cmaes: searches for one objective"),
        ((TWO, *SPACE, "hydra/sweeper/sampler=tpee"), "tpee"),
        (
            ("objective=[ssim]", *SPACE, "hydra.sweeper.stop_dominated=0.2"),
            "stop_dominated=0.2: needs several objectives",
        ),
    ],
)
def test_wrong_searches_are_one_line(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _search(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ("image.size=40", "image.size=32"),
        ("objective=[ssim]", "objective=[content_distance,patch_distance]"),
        ("weights.tv=0,2", "weights.tv=CategoricalDistribution"),
        ("weights.content=choice(1,2)", "weights.content=1.0"),
    ],
)
def test_a_study_does_not_mix_settings(
    changed: str, difference: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _search(TWO, *SPACE, "hydra.sweeper.n_trials=1") == 0
    capsys.readouterr()
    assert _search(TWO, *SPACE, changed, "hydra.sweeper.n_trials=2") == 2
    assert f"study=s: began with {difference}" in capsys.readouterr().err
    assert len(_study().trials) == 1


def test_what_a_job_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The objective, for any sweeper; the folder without one, which is the last line anyway."""
    from nst.sweeps.sweep import Sweep

    found: list[Any] = []
    returned = Sweep.returned

    def recorded(sweep: Sweep, first: int, returns: list[Any]) -> None:
        found.extend(each.return_value for each in returns)
        returned(sweep, first, returns)

    monkeypatch.setattr(Sweep, "returned", recorded)
    for objective in ("[]", "[ssim]", "[ssim,loss/style]"):
        assert invoke(["-m", *TINY, "seed=0", f"objective={objective}"]) == 0
    (run,) = Path("outputs/runs").iterdir()
    ssim, style = (RunRecord(run).measure(name) for name in ("ssim", "loss/style"))
    assert [Path(str(found[0])).name, *found[1:]] == [run.name, ssim, [ssim, style]]


def test_a_pruned_image_does_not_change_the_others() -> None:
    """They have the images of a batch in which another image leaves, bit for bit."""
    runs = [tiny_run(*TINY, f"seed={seed}") for seed in (0, 1, 2)]
    images = []
    for other in runs[1:]:
        batch = module([runs[0], other])
        reasons: dict[int, str] = {}
        batch.pruned = lambda reasons=reasons: reasons  # type: ignore[misc]
        for step in range(STEPS):
            if step == 2:
                reasons[1] = "no longer wanted"
            batch.training_step(step, step)
        assert batch.active == [0]
        assert batch.departed[1].reason == "no longer wanted"
        assert batch.departed[1].why is Why.PRUNED
        assert batch.final is not None
        images.append(batch.image.detach())
    assert torch.equal(*images)


def test_preference_waits_for_votes(capsys: pytest.CaptureFixture[str]) -> None:
    """Each batch waits for votes; then the values are the scores, and the next batch begins."""
    given = ("objective=[preference]", "weights.style=interval(1,2)", "hydra/launcher=vectorized")
    batch = ("hydra.sweeper.trials_per_batch=2", "hydra.sweeper.n_trials=4")
    assert _search(*given, *batch) == 0
    assert "study s waits for votes on 2 runs: nst-report vote study=s" in capsys.readouterr().out
    assert [trial.status for trial in _study().trials] == ["running"] * 2
    outputs = Path("outputs")
    left, right = sorted(path.name for path in (outputs / "runs").iterdir())
    votes.add(outputs, [Vote(left, right, "left", "2026-01-31T12:00:00Z")])
    assert _search(*given, *batch) == 0
    trials = _study().trials
    assert [trial.status for trial in trials] == ["completed"] * 2 + ["running"] * 2
    scores = votes.preference_values(outputs)
    assert {str(trial.run): trial.values for trial in trials[:2]} == {
        left: [scores[left]],
        right: [scores[right]],
    }
    assert scores[left] > scores[right]


def test_jobs_of_the_sweep_name_their_trials() -> None:
    assert _search("objective=[loss]", "weights.tv=0,1", "hydra.sweeper.n_trials=2") == 0
    (folder,) = Path("outputs/sweeps").iterdir()
    jobs = json.loads((folder / "jobs.json").read_text())["jobs"]
    assert [job[-1] for job in jobs] == ["trial=0", "trial=1"]


EAGER = {
    "tpe": ("hydra/sweeper/sampler=tpe", "hydra.sweeper.sampler.n_startup_trials=1"),
    "nsga2": ("hydra/sweeper/sampler=nsga2", "hydra.sweeper.sampler.population_size=2"),
    "random": ("hydra/sweeper/sampler=random",),
    "gp": ("hydra/sweeper/sampler=gp", "hydra.sweeper.sampler.n_startup_trials=1"),
    "cmaes": ("hydra/sweeper/sampler=cmaes", "+hydra.sweeper.sampler.popsize=3"),
}
NUMBERS = ("weights.style=tag(log,interval(1e2,1e6))", "weights.tv=interval(0,1)")


@pytest.mark.parametrize("sampler", first_of([*EAGER]))
@pytest.mark.parametrize("place", ["asking", "telling"])
def test_a_process_killed_within_a_batch(
    place: str, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All trials have the values of a study that nothing interrupted."""
    batches = ("hydra.sweeper.trials_per_batch=3", "hydra.sweeper.n_trials=8")
    searched = ("objective=[patch_distance]", *NUMBERS) if sampler == "cmaes" else (TWO, *SPACE)
    given = (*searched, *EAGER[sampler], *batches, "hydra/launcher=vectorized")
    assert _search(*given, "outputs=peace") == 0
    expected = [trial.settings for trial in record.read(Path("peace"), "s").trials]
    owner, name = {"asking": (Sampling, "next"), "telling": (Study, "complete")}[place]
    plain, calls = getattr(owner, name), 0

    def killed(self: Any, *args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 5:  # the second of the second batch
            raise KeyboardInterrupt
        return plain(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, killed)
        assert _search(*given) == 130
    states = [trial.status for trial in _study().trials]
    left = ["running"] if place == "asking" else ["completed", "running", "running"]
    assert states == ["completed"] * 3 + left
    assert _search(*given) == 0
    assert [trial.settings for trial in _study().trials] == expected
    assert {trial.status for trial in _study().trials} == {"completed"}


def test_a_trial_that_somebody_asked_for_by_optuna_itself_is_theirs() -> None:
    given = (TWO, *SPACE, "hydra/launcher=vectorized")
    assert _search(*given, "hydra.sweeper.n_trials=2") == 0
    optuna.load_study(study_name="s", storage=storage(Path("outputs"), "s")).ask()
    assert _search(*given, "hydra.sweeper.n_trials=4") == 0
    found = [trial.status for trial in _study().trials]
    assert found == ["completed", "completed", "running", "completed"]
