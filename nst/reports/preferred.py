"""The rankings "Preferred by eye": settings by the votes on their results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst.config.differences import settings, text
from nst.config.keys import PICTURE_GROUPS, PROGRAM
from nst.config.pairs import subject
from nst.metrics.preference import Score, rankings
from nst.reports.collect import REPLICATES, Experiment
from nst.runner.record import RunRecord
from nst.runner.votes import Vote

PICTURE = "picture"
"""Key of a measured picture's config: its file's name."""


@dataclass(frozen=True)
class Ranking:
    """Settings that were compared with each other.

    Attributes:
        scores: by caption, the best first.
        votes: number of votes between them.
        equal: number of those without a difference.
    """

    scores: dict[str, Score]
    votes: int
    equal: int


def rank(captions: Mapping[str, str], votes: Iterable[Vote]) -> list[Ranking]:
    """Ranks settings by the votes between them; those that no vote connects are apart.

    Args:
        captions: of a run's setting, by the name of the run folder. Votes on runs with the same
            caption are pooled.
        votes: those on other runs, or between runs of one setting, do not count.
    """
    counted = [
        vote
        for vote in votes
        if {vote.left, vote.right} <= captions.keys()
        and captions[vote.left] != captions[vote.right]
    ]
    pooled = [
        (captions[left], captions[right], share)
        for left, right, share in (vote.comparison for vote in counted)
    ]
    found = []
    for scores in rankings(pooled):
        shares = [share for one, _, share in pooled if one in scores]
        found.append(Ranking(scores, len(shares), shares.count(0.5)))
    return found


def of_experiment(experiment: Experiment) -> dict[str, str]:
    """The captions of an experiment's runs: all that its jobs differ in but pictures and seeds."""
    averaged = {*PICTURE_GROUPS, "pair", *REPLICATES}
    keys = [key for key in experiment.varying if subject(key) not in averaged]
    found: dict[str, str] = {}
    for job in experiment.jobs:
        if job.run:
            found.setdefault(job.run.folder.name, experiment.caption(job, keys))
    return found


def outside(
    outputs: Path, votes: Iterable[Vote], experiments: Iterable[Experiment]
) -> list[Ranking]:
    """The rankings by those votes that are not between two runs of one experiment."""
    inside = [of_experiment(experiment).keys() for experiment in experiments]
    others = [
        vote for vote in votes if not any({vote.left, vote.right} <= names for names in inside)
    ]
    return rank(_captions(outputs, others), others)


def _captions(outputs: Path, votes: Sequence[Vote]) -> dict[str, str]:
    """For the runs that votes are about, the settings that differ but pictures and seeds.

    Each setting has a caption of its own.
    """
    names = dict.fromkeys(name for vote in votes for name in (vote.left, vote.right))
    records = {name: RunRecord(outputs / "runs" / name) for name in names}
    kept = {name: _kept(record) for name, record in records.items()}
    first: dict[str, str] = {}  # by setting, the first run that has it
    for name, own in kept.items():
        first.setdefault(str(own), name)
    several = len({record.program for record in records.values()}) > 1
    texts = {}
    differing = settings([kept[name] for name in first.values()])
    for name, own in zip(first.values(), differing, strict=True):
        shown = {PROGRAM: records[name].program, **own} if several else own
        texts[name] = " ".join(f"{key}={text(value)}" for key, value in shown.items())
    counts = Counter(texts.values())
    for name, caption in texts.items():
        if counts[caption] > 1:  # an option's name stands for all keys of its group
            texts[name] = f"{caption} ({name})"
    return {name: texts[first[str(own)]] for name, own in kept.items()}


def _kept(record: RunRecord) -> dict[str, Any]:
    """The settings of a run that are not averaged over."""
    averaged = (*REPLICATES, PICTURE, "style.path")
    return {
        key: value
        for key, value in record.settings.items()
        if key not in averaged and not key.startswith("content.")
    }
