"""The numbers of an experiment for a paper: metrics by setting, with confidence intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from nst.config.experiment import MEASURES, QuestionConfig
from nst.reports import claims
from nst.reports.blocks import compare, optimised
from nst.reports.choices import choose
from nst.reports.collect import Experiment

COMPARED = ("falls", "rises", "best", "varies")
"""Kinds of claims that compare a metric between settings."""


@dataclass(frozen=True)
class Number:
    """A metric of a setting.

    Attributes:
        values: over the blocks.
        best: whether the report chooses the setting by this metric.
        optimised: whether the setting's runs minimise the metric themselves.
    """

    values: Sequence[float]
    best: bool = False
    optimised: bool = False


@dataclass(frozen=True)
class NumberRow:
    """A setting and its numbers, in the order of the table's metrics; None: not known."""

    caption: str
    numbers: list[Number | None]


@dataclass(frozen=True)
class NumberTable:
    """Metrics that are compared in the same way.

    Attributes:
        about: what is held equal, and over how many blocks the numbers are means.
        metrics: keys of ``MEASURES``.
        parts: rows by the case that they are about; the case is empty if there is only one.
    """

    about: str
    metrics: list[str]
    parts: list[tuple[str, list[NumberRow]]]

    @property
    def numbers(self) -> Iterator[Number]:
        """All of them."""
        return (
            number for _, rows in self.parts for row in rows for number in row.numbers if number
        )


def tables(experiment: Experiment) -> list[NumberTable]:
    """The numbers that the claims and choices of an experiment are about.

    Questions that compare in the same way make one table, with every setting of their key. Tables
    without any number are omitted: no block of runs is complete.
    """
    config = experiment.config
    own: list[QuestionConfig] = [claim for claim in config.claims if claim.kind in COMPARED]
    found = [_compared(experiment, each) for each in _alike([*config.choices, *own])]
    pairs = [claim for claim in config.claims if claim.kind == "alike"]
    found += [_of_pairs(experiment, each) for each in _alike(pairs)]
    return [table for table in found if any(table.numbers)]


def _basis(question: QuestionConfig) -> str:
    """The same for questions whose blocks are the same."""
    return str(
        (
            question.key,
            question.each,
            question.only,
            question.at_equal,
            question.along,
            question.average,
        )
    )


def _alike(questions: Sequence[QuestionConfig]) -> list[list[QuestionConfig]]:
    groups: dict[str, list[QuestionConfig]] = {}
    for question in questions:
        groups.setdefault(_basis(question), []).append(question)
    return list(groups.values())


def _compared(experiment: Experiment, questions: Sequence[QuestionConfig]) -> NumberTable:
    """The table of questions with the same basis."""
    first = questions[0]
    metrics = list(dict.fromkeys(name for each in questions for name in each.measures))
    chosen = {
        (each.case, each.metric): each.best
        for each in choose(experiment)
        if _basis(each.question) == _basis(first)
    }
    parts = []
    for case, jobs in experiment.cases(first):
        numbers: dict[str, list[Number | None]] = {}
        for metric in metrics:
            found = compare(jobs, first, metric)
            own = optimised(jobs, first.key, found.settings, metric)
            best = chosen.get((case, metric), [])
            for index, setting in enumerate(found.settings):
                values = found.values[:, index].tolist()
                number = Number(values, setting in best, setting in own) if values else None
                numbers.setdefault(setting, []).append(number)
        captions = {setting: experiment.label(first.key, setting) for setting in numbers}
        parts.append((case, [NumberRow(captions[each], numbers[each]) for each in numbers]))
    return _table(experiment, first, metrics, parts, "block")


def _of_pairs(experiment: Experiment, questions: Sequence[QuestionConfig]) -> NumberTable:
    """The table of claims about pairs of pictures."""
    own = [claim for claim in experiment.config.claims if claim in questions]
    tested = claims.test(replace(experiment, config=replace(experiment.config, claims=own)))
    metrics = list(dict.fromkeys(finding.metric for finding in tested))
    parts: dict[str, dict[str, list[Number | None]]] = {}
    for finding in tested:
        rows = parts.setdefault(finding.case, {})
        for label, values in finding.numbers.items():
            numbers = rows.setdefault(label, [None] * len(metrics))
            numbers[metrics.index(finding.metric)] = Number(values) if values else None
    captioned = [
        (case, [NumberRow(label, numbers) for label, numbers in rows.items()])
        for case, rows in parts.items()
    ]
    return _table(experiment, questions[0], metrics, captioned, "pair")


def _table(
    experiment: Experiment,
    question: QuestionConfig,
    metrics: list[str],
    parts: list[tuple[str, list[NumberRow]]],
    unit: str,
) -> NumberTable:
    table = NumberTable("", metrics, parts)
    counts = sorted({len(number.values) for number in table.numbers})
    only = [experiment.label(key, value) for key, value in question.only.items()]
    equal = f"at equal {MEASURES[question.at_equal].title}" if question.at_equal else ""
    count = " to ".join(str(each) for each in dict.fromkeys(counts[:1] + counts[-1:]))
    units = f"{count} {unit}{'' if counts == [1] else 's'}"
    return replace(table, about=", ".join(filter(None, [*only, equal, units])))
