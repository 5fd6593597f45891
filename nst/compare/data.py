"""What the page knows of the runs: the content of ``runs.js``, see ``scripts/types.d.ts``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nst.compare.select import Entry
from nst.compare.study_data import study_data, trial_label
from nst.config.differences import differing
from nst.config.experiment import MEASURES, VOTED

if TYPE_CHECKING:
    from nst.sweeps.search.record import StudyRecord


def data(
    chosen: Sequence[Entry],
    details: Sequence[dict[str, Any]],
    study: StudyRecord | None,
    refresh: float | None,
) -> dict[str, Any]:
    """The data of the page.

    Args:
        chosen: the runs.
        details: of each run, see ``nst.compare.page_run``.
        study: that the page is about; None: about none.
        refresh: seconds between two looks for newer data; None: the page never looks.
    """
    settings = [entry.run.settings for entry in chosen]
    keys = list(dict.fromkeys(key for found in differing(settings) for key in found))
    labels = _labels(chosen, keys, study)
    facts = [{**entry.facts, "label": label} for entry, label in zip(chosen, labels, strict=True)]
    shared = {
        key: value
        for key, value in facts[0].items()
        if all(other.get(key) == value for other in facts)
    }
    return {
        "live": refresh,
        "made": time.time(),
        "keys": keys,
        "settings": list(settings[0]),
        "shared": shared,
        "measures": {name: asdict(measure) for name, measure in {**MEASURES, **VOTED}.items()},
        "runs": [
            {name: getattr(entry.run, name) for name in ("key", "subject", "command", "optimised")}
            | part
            | {"facts": {key: value for key, value in own.items() if key not in shared}}
            for entry, own, part in zip(chosen, facts, details, strict=True)
        ],
        "view": None,
        "study": study and study_data(study, _keys_of_trials(chosen, study)),
    }


def _keys_of_trials(chosen: Sequence[Entry], study: StudyRecord) -> dict[int, str]:
    """By the number of a trial, the key of its run."""
    return {
        number: entry.run.key for entry in chosen for number in entry.trials.get(study.name, [])
    }


def _labels(chosen: Sequence[Entry], keys: Sequence[str], study: StudyRecord | None) -> list[str]:
    """For each run its trial, or the settings in which it differs from others; unique."""
    labels = []
    for entry in chosen:
        if study and (numbers := entry.trials.get(study.name)):
            labels.append(trial_label(study, numbers))
            continue
        own = {key: entry.facts[key] for key in keys if key in entry.facts}
        texts = {key: ", ".join(v) if isinstance(v, list) else v for key, v in own.items()}
        labels.append(" ".join(f"{key}={value}" for key, value in texts.items()) or entry.name)
    counts = Counter(labels)
    return [
        label if counts[label] == 1 else f"{label} ({entry.run.key})"
        for entry, label in zip(chosen, labels, strict=True)
    ]
