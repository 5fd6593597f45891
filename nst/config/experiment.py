"""The declaration of an experiment: one table of a report, in one file. Light to import."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from nst.utils.errors import ConfigError, listed

NO_EXPERIMENT = "sweep"
"""Name of a sweep without an experiment; its folder begins with it."""

MAIN = "main"
"""The report of experiments that name no other."""

ALL = "all"
"""In place of a report's name: the experiments of all reports."""

MOST_STYLES = 4
"""Styles of a run that a table can show, at most."""


def style_names(count: int) -> list[str]:
    """Names of the style pictures of a run: ``style``, ``style_2`` and so on."""
    return ["style", *(f"style_{number}" for number in range(2, count + 1))][:count]


STYLE_INPUTS = tuple(
    name.replace("style", kind)
    for kind in ("style", "region", "source_region", "original_style")
    for name in style_names(MOST_STYLES)
)
"""The styles of a run, their masks, and what they were before ``colour`` changed them."""

INPUTS = ("content", *STYLE_INPUTS, "source", "mask", "target", "paste")
"""Pictures that a run folder may hold beside the result."""

SHOWS = ("start", "final")


@dataclass(frozen=True)
class Measure:
    """A number about a run.

    Attributes:
        title: for tables.
        better: ``higher`` or ``lower``.
        about: definition in one sentence.
        unit: empty for plain numbers.
        optimised_by: keys of a run's config with the values under which the run minimises the
            measure, or nearly so; True: any but 0. Empty: no loss of ours does.
        against: the input pictures that the result is compared with.
    """

    title: str
    better: str
    about: str
    unit: str = ""
    optimised_by: Mapping[str, Any] = field(default_factory=dict)
    against: tuple[str, ...] = ()

    def optimised(self, values: Mapping[str, Any]) -> bool:
        """Whether a run with these values of its config, by dotted key, minimises the measure."""
        return bool(self.optimised_by) and all(
            bool(values.get(key)) if wanted is True else values.get(key) == wanted
            for key, wanted in self.optimised_by.items()
        )


_FEATURES = {"content_loss.name": "features", "weights.content": True}


MEASURES = {
    "psnr": Measure(
        "PSNR",
        "higher",
        "Peak signal-to-noise ratio of the result against the content picture (between two "
        "pictures where a claim compares two).",
        "dB",
        against=("content",),
    ),
    "ssim": Measure(
        "SSIM",
        "higher",
        "Structural similarity (Wang et al. 2004) of the result to the content picture; 1: equal.",
        against=("content",),
    ),
    "roughness": Measure(
        "roughness",
        "lower",
        "Standard deviation of the finest band of the result's Laplacian pyramid over that of the "
        "content picture; above 1: grain that the original lacks.",
        against=("content",),
    ),
    "stroke_size": Measure(
        "stroke size",
        "higher",
        "Mean size of the details that the result adds to the content picture: the bands of a "
        "Laplacian pyramid of their difference, weighted by their variance, on a log scale.",
        "px",
        against=("content",),
    ),
    "content_distance": Measure(
        "content distance",
        "lower",
        "Squared difference of the conv4_2 features of result and content, over the squared "
        "features of the content; 0: equal.",
        optimised_by=_FEATURES,
        against=("content",),
    ),
    "cfsd": Measure(
        "CFSD",
        "lower",
        "Content feature structural distance (Chung et al. 2024): KL divergence between the "
        "softmaxed self-similarities of content and result at relu3_1, at 256 px; 0: equal.",
        optimised_by={"content_loss.name": "self_similarity", "weights.content": True},
        against=("content",),
    ),
    "edge_agreement": Measure(
        "edge agreement",
        "higher",
        "F1 score of the result's Canny edges against those of the content picture, within 1 px; "
        "1: the same edges.",
        against=("content",),
    ),
    "chroma_difference": Measure(
        "chroma difference",
        "lower",
        "Mean CIEDE2000 difference of result and content at the L* of the content: how far colours "
        "are from the content's, whatever the lightness; 0: equal, about 1: just visible.",
        against=("content",),
    ),
    "lpips": Measure(
        "LPIPS",
        "lower",
        "Learned perceptual image patch similarity (Zhang et al. 2018) of result and content: "
        "weighted squared differences of normalised VGG-16 features; 0: equal.",
        against=("content",),
    ),
    "dists": Measure(
        "DISTS",
        "lower",
        "Deep image structure and texture similarity (Ding et al. 2020) of result and content: "
        "weighted means and correlations of VGG-16 features, as a distance; 0: equal.",
        against=("content",),
    ),
    "gram_distance": Measure(
        "Gram distance",
        "lower",
        "Squared difference of the Gram matrices of result and style over the squared ones of the "
        "style, averaged over all 16 convolutions, whichever the run optimised; 0: equal.",
        optimised_by={"style_loss.name": "gram", "weights.style": True},
        against=("style",),
    ),
    "patch_distance": Measure(
        "patch distance",
        "lower",
        "Sliced Wasserstein distance of 7x7 px patches at every level of a Laplacian pyramid "
        "(Karras et al. 2018, section 5) in standard deviations of the style's patches. It uses "
        "neither Gram matrices nor a network; 0: the same patches, in any order.",
        against=("style",),
    ),
    "colour_distance": Measure(
        "colour distance",
        "lower",
        "Earth mover's distance between the CIELAB histograms of result and style, averaged over "
        "L*, a* and b*; 0: the same colours.",
        against=("style",),
    ),
    "spectrum_distance": Measure(
        "spectrum distance",
        "lower",
        "Squared distance of the result to the nearest picture with the style's Fourier spectrum "
        "(Liu et al. 2016), over the variance of the style's pixels; 0: the same spectrum.",
        optimised_by={"weights.spectrum": True},
        against=("style",),
    ),
    "seam": Measure(
        "seam",
        "lower",
        "Mean absolute difference of the pixels at opposite borders over that of the neighbouring "
        "columns (or rows) that differ most, of results that tile; at most 1: the seam is no "
        "stronger than any other column.",
    ),
    "combined_distance": Measure(
        "combined distance",
        "lower",
        "(1 + content distance) x (1 + patch distance): the form of ArtFID (Wright & Ommer 2022), "
        "which is low only if both are; 1: perfect.",
        optimised_by=_FEATURES,
        against=("content", "style"),
    ),
    "distance_from_first": Measure(
        "distance from the first",
        "lower",
        "Patch distance of the result to that of the first of the compared values, in standard "
        "deviations of the first one's patches; 0: the same patches, in any order.",
    ),
    "loss": Measure("final loss", "lower", "The objective's total at the last step."),
    "seconds": Measure("time", "lower", "Seconds from the first step to the last.", "s"),
    "steps_to_loss": Measure(
        "steps to the same loss",
        "lower",
        "Steps until the loss is as low as the worse of the compared runs ends.",
    ),
    "seconds_to_loss": Measure(
        "time to the same loss",
        "lower",
        "Seconds until the loss is as low as the worse of the compared runs ends.",
        "s",
    ),
}

VOTED = {
    "preference": Measure(
        "preference",
        "higher",
        "How much people prefer the result by eye: log odds against an average one among those "
        "that it was compared with.",
    )
}
"""Measures that people decide by votes. A run alone does not have them."""

PAIR_MEASURES = ("psnr", "ssim", "patch_distance")
"""Measures between two results."""

KINDS = ("falls", "rises", "best", "alike", "varies", "setting")


@dataclass
class QuestionConfig:
    """What is compared: a measure between the values of a key, in blocks of runs.

    Attributes:
        text: the sentence or the question.
        key: whose values are compared.
        measures: to compare them by.
        only: values of other keys; runs with others do not take part.
        each: a key for each of whose values the question is asked by itself.
        at_equal: a measure to hold equal: along a curve of runs, the compared measure is
            interpolated at a value that the curves of a block share.
        along: with ``at_equal``, the key whose values make a curve.
        average: keys over which a block is averaged, such as the seed.
    """

    text: str = ""
    key: str = ""
    measures: list[str] = field(default_factory=list)
    only: dict[str, str] = field(default_factory=dict)
    each: str = ""
    at_equal: str = ""
    along: str = ""
    average: list[str] = field(default_factory=list)


@dataclass
class ClaimConfig(QuestionConfig):
    """A sentence and how it is tested.

    Kinds, each with the condition for the claim to hold:
        falls, rises: every measure falls or rises along the values of ``key`` in their order.
        best: one of ``winners`` among the values of ``key`` has the best measure.
        varies: the measure depends on ``key``.
        alike: the measure between two results that differ in ``key`` alone is at least
            ``at_least``, or at most ``at_most``.
        setting: the config's ``key`` is ``value``.

    Attributes:
        against: for ``best``, the values that the winners are compared with; empty: all others.
        note: a remark on the test.
    """

    kind: str = ""
    winners: list[str] = field(default_factory=list)
    against: list[str] = field(default_factory=list)
    at_least: float | None = None
    at_most: float | None = None
    value: Any = None
    note: str = ""


@dataclass
class PlotConfig:
    """One measure over another, a point per run, joined along ``key``.

    With ``by``, there is a line for each value of that key alone: means over the other runs.
    """

    x: str = ""
    y: str = ""
    key: str = ""
    by: str = ""


@dataclass
class ExperimentConfig:
    """The table that the runs of a sweep make, and the claims that it tests.

    Attributes:
        name: of the file.
        report: name of the report that it is part of; ``make report REPORT=NAME`` runs it.
        section: number in the report; sections are sorted by it.
        title: heading.
        about: what was done, in a few sentences.
        rows: overrides whose values make the rows, such as ``[pair]``; empty: one row.
        columns: the same for the columns.
        inputs: input pictures to show on the table's edges.
        show: ``final``, ``start`` or both.
        labels: for each key, captions of its values.
        notes: remarks below the table.
        claims: sentences to test.
        choices: questions of what is best; the answers make the table "Which to choose".
        plots: trade-offs to draw.
    """

    name: str = NO_EXPERIMENT
    report: str = MAIN
    section: str = ""
    title: str = ""
    about: str = ""
    rows: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=lambda: ["content", "style"])
    show: list[str] = field(default_factory=lambda: ["final"])
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    claims: list[ClaimConfig] = field(default_factory=list)
    choices: list[QuestionConfig] = field(default_factory=list)
    plots: list[PlotConfig] = field(default_factory=list)


@dataclass(frozen=True)
class ExperimentSweep:
    """A sweep of an experiment.

    Attributes:
        jobs: the overrides of all jobs, in order; empty for a run on its own.
        base: hash of what the runs share; it distinguishes runs before and after a change of the
            experiment's file.
        asked: when the sweep began, in ISO 8601.
    """

    jobs: list[list[str]]
    base: str
    asked: str

    @cached_property
    def key(self) -> str:
        """Hash of the jobs: 16 hex digits."""
        return hashlib.sha256(json.dumps(self.jobs).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class ExperimentJob:
    """A run as a job of an experiment's sweep.

    Attributes:
        experiment: the declaration.
        overrides: of this job, as typed: ``["weights=mild", "seed=0"]``.
        sweep: that it belongs to.
    """

    experiment: dict[str, Any]
    overrides: list[str]
    sweep: ExperimentSweep


def check(experiment: ExperimentConfig) -> None:
    """Checks a declaration.

    Raises:
        ConfigError: for the first wrong value found.
    """
    for key in ("name", "report"):
        value = getattr(experiment, key)
        if not re.fullmatch(r"[A-Za-z0-9_-]+", value):
            problem = "must be letters, digits, _ and -: it names files"
            raise ConfigError(f"experiment.{key}", value, problem)
    if experiment.report == ALL:
        raise ConfigError("experiment.report", ALL, "means the experiments of all reports")
    for name, given, allowed in (
        ("inputs", experiment.inputs, INPUTS),
        ("show", experiment.show, SHOWS),
    ):
        for value in given:
            _one_of(f"experiment.{name}", value, allowed)
    for index, plot in enumerate(experiment.plots):
        for axis in ("x", "y"):
            _one_of(f"experiment.plots[{index}].{axis}", getattr(plot, axis), tuple(MEASURES))
    for index, claim in enumerate(experiment.claims):
        _check_claim(f"experiment.claims[{index}]", claim)
    for index, choice in enumerate(experiment.choices):
        _check_question(f"experiment.choices[{index}]", choice, tuple(MEASURES))


def _check_claim(key: str, claim: ClaimConfig) -> None:
    _one_of(f"{key}.kind", claim.kind, KINDS)
    if claim.kind == "setting":
        _check_given(key, claim, ("text", "key"))
        return
    _check_question(key, claim, PAIR_MEASURES if claim.kind == "alike" else tuple(MEASURES))
    if claim.kind == "best" and not claim.winners:
        raise ConfigError(f"{key}.winners", [], f"needs values of {claim.key}")
    if claim.kind == "alike" and (claim.at_least is None) == (claim.at_most is None):
        raise ConfigError(f"{key}.at_least", claim.at_least, "needs this or at_most, not both")


def _check_question(key: str, question: QuestionConfig, measures: Sequence[str]) -> None:
    _check_given(key, question, ("text", "key"))
    if not question.measures:
        raise ConfigError(f"{key}.measures", [], f"needs one or more of {listed(measures)}")
    for measure in question.measures:
        _one_of(f"{key}.measures", measure, measures)
    if question.at_equal:
        _one_of(f"{key}.at_equal", question.at_equal, tuple(MEASURES))
        _check_given(key, question, ("along",))


def _check_given(key: str, question: QuestionConfig, names: Sequence[str]) -> None:
    for name in names:
        if not getattr(question, name):
            raise ConfigError(f"{key}.{name}", "", "must not be empty here")


def _one_of(key: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ConfigError(key, value, f"allowed: {listed(allowed)}")
