"""Writes the figures of experiments: ``NAME.pdf``, and ``NAME.tex`` with its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nst.config.experiment import MEASURES
from nst.reports.collect import Experiment
from nst.reports.figures import pdf, tex
from nst.reports.figures.layout import arrange
from nst.reports.figures.numbers import tables
from nst.utils.errors import ConfigError, NstError, listed
from nst.utils.files import write_whole
from nst.utils.text import counted

FORMATS = ("pdf", "tex")
MOST_NAMED = 4
"""Missing runs that a message names."""


@dataclass(frozen=True)
class Wanted:
    """What is to be made.

    Attributes:
        formats: of ``FORMATS``.
        metrics: to stand below each picture.
        only: which runs the pictures are of: for keys, their values; all if it is empty.
        width: of the figure, in points of 1/72 inch.
        command: that is run, to be noted in the files.
    """

    formats: Sequence[str]
    metrics: Sequence[str]
    only: dict[str, list[str]]
    width: float
    command: str


@dataclass(frozen=True)
class Made:
    """The files, and in a line each what they lack."""

    files: list[Path]
    remarks: list[str]


def make(experiment: Experiment, wanted: Wanted, folder: Path) -> Made:
    """Writes the figure of an experiment's finished runs.

    Args:
        experiment: with its newest sweep.
        wanted: the formats and the contents.
        folder: of the files.

    Raises:
        ConfigError: if no run is finished, a metric or a value is unknown, the table does not fit,
            or a package is missing.
        NstError: if a file cannot be written.
    """
    name = experiment.config.name
    if not any(job.completed for job in experiment.jobs):
        raise ConfigError("experiment", name, f"no run is finished; {_remedy(experiment)}")
    _check_metrics(experiment, wanted.metrics)
    layout = arrange(_chosen(experiment, wanted.only), wanted.metrics, wanted.width)
    files: dict[Path, bytes] = {}
    remarks = _missing(experiment)
    if "pdf" in wanted.formats:
        files[folder / f"{name}.pdf"] = pdf.render(layout)
        if letters := pdf.without_glyphs(layout):
            text = f"no letter for {letters} in {' and '.join(pdf.FONTS)}: declare other labels"
            remarks.append(f"{name}.pdf: {text}")
    pictures: dict[Path, bytes] = {}
    if "tex" in wanted.formats:
        found = tex.render(experiment.config, layout, tables(experiment), wanted.command)
        pictures = {
            folder / name / file: path.read_bytes() for file, path in found.pictures.items()
        }
        files[folder / f"{name}.tex"] = found.text.encode()
    try:
        for path, content in (pictures | files).items():  # pictures first: the others name them
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content)
    except OSError as error:
        raise NstError(f"the figure cannot be written: {error}") from error
    return Made(list(files), remarks)


def _check_metrics(experiment: Experiment, metrics: Sequence[str]) -> None:
    """Checks that some run has each of the metrics."""
    runs = [job.completed for job in experiment.jobs if job.completed]
    known = [name for name in MEASURES if any(run.measure(name) is not None for run in runs)]
    for metric in metrics:
        if metric not in known:
            problem = f"no finished run has this metric; allowed: {listed(known)}, none"
            raise ConfigError("--metrics", metric, problem)


def _chosen(experiment: Experiment, only: dict[str, list[str]]) -> Experiment:
    """The experiment with the jobs that have these values.

    Raises:
        ConfigError: for a key or a value that no job has, or if no finished run has them all.
    """
    for key, values in only.items():
        if key not in experiment.varying:
            problem = f"not a key of the sweep; allowed: {listed(experiment.varying)}"
            raise ConfigError("--only", key, problem)
        for value in values:
            if value not in experiment.order(key):
                problem = f"no run has this value; allowed: {listed(experiment.order(key))}"
                raise ConfigError(f"--only {key}", value, problem)
    jobs = [
        job
        for job in experiment.jobs
        if all(job.values.get(key) in values for key, values in only.items())
    ]
    if not any(job.completed for job in jobs):
        shown = [f"{key}={','.join(values)}" for key, values in only.items()]
        raise ConfigError("--only", " ".join(shown), "no finished run has these values")
    return replace(experiment, jobs=jobs)


def _missing(experiment: Experiment) -> list[str]:
    """Which runs are not finished, in a line; empty if all are."""
    missing = [job for job in experiment.jobs if not job.completed]
    if not missing:
        return []
    captions = [experiment.caption(job, experiment.varying) for job in missing[:MOST_NAMED]]
    captions += [f"and {len(missing) - MOST_NAMED} more"] * (len(missing) > MOST_NAMED)
    counts = f"{len(missing)} of {counted(len(experiment.jobs), 'run')}"
    what = f"{counts} not finished ({'; '.join(captions)})"
    return [f"{experiment.config.name}: {what}; {_remedy(experiment)}"]


def _remedy(experiment: Experiment) -> str:
    """What to do about runs that are not finished."""
    command = experiment.command
    if "\n" in command:  # a line for each job
        command = f"nst-report report --run {experiment.config.name}"
    return f"to run what is missing: {command}"
