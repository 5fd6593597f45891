"""What the runs of a report were computed with, and so what its answers are limited to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from nst.reports.collect import Experiment

KEYS = {
    "backbone.name": "backbone",
    "image.size": "sizes, px",
    "content.path": "content pictures",
    "style.path": "style pictures",
    "layers.style": "style layers",
    "layers.content": "content layers",
    "steps": "steps",
    "seed": "seeds",
    "optimizer._target_": "optimisers",
}
"""Keys of the config that an answer may depend on, and their captions."""


def limits(experiments: Sequence[Experiment]) -> dict[str, str]:
    """By caption, the values of ``KEYS`` that the completed runs have."""
    jobs = [job.completed for experiment in experiments for job in experiment.jobs]
    runs = list({run.folder: run for run in jobs if run}.values())
    found: dict[str, str] = {}
    for key, caption in KEYS.items():
        values = [run.settings.get(key) for run in runs]
        texts = dict.fromkeys(_text(value) for value in values if value not in (None, []))
        if texts:
            found[caption] = ", ".join(texts)
    return found


def _text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return PurePath(str(value).removeprefix("builtin:")).name.removeprefix("nst.optim.")
