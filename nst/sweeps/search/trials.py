"""Reports the trials of a batch to their study, and shows what the study has found."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from nst.config.objective import PREFERENCE
from nst.runner.record import PRUNED, RunRecord
from nst.runner.votes import preference_values
from nst.sweeps.search import front
from nst.sweeps.search.folder import FOLDER
from nst.sweeps.search.record import StudyRecord, from_optuna, read
from nst.sweeps.search.study import Asked, Study
from nst.sweeps.sweep_folder import SUCCEEDED, outcomes
from nst.utils.files import save_png, shown


def tell(
    study: Study, asked: Sequence[Asked], first: int, sweep_dir: Path, outputs: Path
) -> list[str]:
    """Reports how the jobs of a batch ended. Trials whose job has no outcome stay unfinished.

    Args:
        study: that asked for them.
        asked: the trials.
        first: number of the job of the first one.
        sweep_dir: folder of the sweep, which has the outcomes.
        outputs: root folder, which has the votes.

    Returns:
        Names of the runs whose trials stay unfinished, since there is no vote on them yet.
    """
    ended = {each.number: each for each in outcomes(sweep_dir)}
    votes = preference_values(outputs) if PREFERENCE in study.objective else {}
    waiting = []
    for number, trial in enumerate(asked, first):
        if number not in ended:
            continue
        found = ended[number]
        name = found.folder.name if found.folder else None
        if found.outcome == PRUNED and name:
            study.prune(trial.number, name, found.why)
        elif found.outcome not in SUCCEEDED or found.folder is None or name is None:
            study.fail(trial.number, name, found.why)
        elif PREFERENCE in study.objective and name not in votes:
            waiting.append(name)
        else:
            _complete(study, trial.number, RunRecord(found.folder), votes.get(name))
    return waiting


def _complete(study: Study, number: int, run: RunRecord, preference: float | None) -> None:
    """Completes a trial with the values of its run, or as failed if one is missing."""
    name, values = run.folder.name, []
    for each in study.objective:
        value = preference if each == PREFERENCE else run.measure(each)
        if value is None or not math.isfinite(value):
            study.fail(number, name, f"the run has no finite {each}")
            return
        values.append(value)
    study.complete(number, values, name)


def progress(study: Study, total: int) -> str:
    """A line on how far a study is."""
    record = from_optuna(study.optuna_study)
    counts = Counter(each.status for each in record.trials)
    parts = ", ".join(f"{number} {status}" for status, number in counts.items())
    best = f"{len(record.front)} on the front" if len(record.objective) > 1 else _best(record)
    return f"study {study.name}: {len(record.trials)} of {total} trials: {parts}; {best}"


def _best(record: StudyRecord) -> str:
    for trial in record.front:
        return f"best: trial {trial.number}, {record.objective[0]}={trial.values[0]:.4g}"
    return "none is best yet"


def show(outputs: Path, name: str) -> None:
    """Prints the front of a study, and draws it: ``studies/NAME.png``."""
    record = read(outputs, name)
    print(front.table(record), file=sys.stderr)
    picture = front.picture(outputs, record)
    if picture is not None:
        path = outputs / FOLDER / f"{name}.png"
        save_png(picture, path)
        print(f"front: {shown(path)}" if len(record.objective) > 1 else f"best: {shown(path)}")
