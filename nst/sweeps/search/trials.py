"""Reports the trials of a batch to their study, and shows what the study has found."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from nst.runs.record import PRUNED, RunRecord
from nst.sweeps.search import front
from nst.sweeps.search.folder import FOLDER
from nst.sweeps.search.record import StudyRecord, read
from nst.sweeps.search.study import Asked, Study
from nst.sweeps.sweep_folder import SUCCEEDED, JobOutcome, outcomes
from nst.utils.files import save_png, shown


def tell(study: Study, asked: Sequence[Asked], first: int, sweep_dir: Path) -> None:
    """Reports how the jobs of a batch ended. Trials whose job has no outcome stay unfinished.

    Args:
        study: that asked for them.
        asked: the trials.
        first: number of the job of the first one.
        sweep_dir: folder of the sweep, which has the outcomes.
    """
    ended = {each.number: each for each in outcomes(sweep_dir)}
    for number, trial in enumerate(asked, first):
        if number in ended:
            _tell(study, trial.number, ended[number])


def _tell(study: Study, number: int, ended: JobOutcome) -> None:
    name = ended.folder.name if ended.folder else None
    if ended.outcome == PRUNED and name:
        study.prune(number, name, ended.why)
    elif ended.outcome in SUCCEEDED and ended.folder and name:
        record = RunRecord(ended.folder)
        values = {each: record.measure(each) for each in study.objective}
        found = [each for each in values.values() if each is not None and math.isfinite(each)]
        if len(found) == len(values):
            study.complete(number, found, name)
        else:
            missing = [each for each, value in values.items() if value not in found]
            study.fail(number, name, f"the run has no finite {missing[0]}")
    else:
        study.fail(number, name, ended.why)


def progress(outputs: Path, name: str, total: int) -> str:
    """A line on how far a study is."""
    record = read(outputs, name)
    counts = Counter(each.status for each in record.trials)
    parts = ", ".join(f"{number} {status}" for status, number in counts.items())
    best = f"{len(record.front)} on the front" if len(record.objective) > 1 else _best(record)
    return f"study {name}: {len(record.trials)} of {total} trials: {parts}; {best}"


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
