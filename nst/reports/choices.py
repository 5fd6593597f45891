"""The table "Which to choose": for each question, the best values of a key and their lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nst.config.experiment import MEASURES, QuestionConfig
from nst.reports.blocks import compare, optimised
from nst.reports.claims import CONFIDENCE, Numbers, interval
from nst.reports.collect import Experiment


@dataclass(frozen=True)
class Choice:
    """The answer to a question by one metric.

    Attributes:
        question: what is asked.
        case: the value of ``question.each`` that is asked about, in words; empty: there is none.
        metric: a key of ``MEASURES``.
        numbers: values of the metric over the blocks, by value of the key, the best first.
        best: values that are not told apart from the best; empty: the runs do not suffice.
        reason: of the answer, in one line.
        optimised: values of the key under which runs minimise the metric themselves.
    """

    question: QuestionConfig
    case: str
    metric: str
    numbers: Numbers
    best: list[str]
    reason: str
    optimised: list[str]


def choose(experiment: Experiment) -> list[Choice]:
    """The answers to all questions of an experiment, one for each metric."""
    return [
        _choice(chosen, question, case, metric)
        for question in experiment.config.choices
        for case, chosen in experiment.cases(question)
        for metric in question.measures
    ]


def _choice(experiment: Experiment, question: QuestionConfig, case: str, metric: str) -> Choice:
    found = compare(experiment, question, metric)
    values = found.values if MEASURES[metric].better == "lower" else -found.values
    order = np.argsort(values.mean(axis=0)) if len(values) else range(len(found.settings))
    numbers = {found.settings[index]: found.values[:, index].tolist() for index in order}
    own = optimised(experiment, question.key, found.settings, metric)

    def answer(best: Sequence[str], reason: str) -> Choice:
        return Choice(question, case, metric, numbers, list(best), reason + found.remark, own)

    if len(values) < 2 or len(found.settings) < 2:
        return answer([], f"complete blocks: {len(values)}; two are needed")
    first, *others = order
    # Bonferroni's correction: as many differences are tested as there are others
    confidence = 1 - (1 - CONFIDENCE) / len(others)
    tied, leads = [], []
    for other in others:
        mean, half = interval(values[:, other] - values[:, first], confidence)
        leads.append(f"{mean:.3g} ± {half:.2g}")
        if mean - half <= 0:
            tied.append(found.settings[other])
    label = experiment.label(question.key, found.settings[others[0]])
    reason = f"lead over the next, {label}: {leads[0]} over {len(values)} blocks"
    if found.level is not None:
        reason += f" at {MEASURES[question.at_equal].title} {found.level:.3g}"
    return answer([found.settings[first], *tied], reason)
