"""Writes the report: index.html, report.md and numbers.csv, with the pictures beside them."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from plotly.offline import get_plotlyjs

from nst.config.experiment import ALL, MAIN, MEASURES
from nst.reports import claims, measured, plots, preferred
from nst.reports.choices import Choice, choose
from nst.reports.claims import Finding
from nst.reports.collect import Experiment, collect, select
from nst.reports.limits import limits
from nst.reports.measured import Pair
from nst.reports.preferred import Ranking
from nst.reports.table import Gallery, Table, lay_out
from nst.runner import votes
from nst.runner.record import COMPLETED
from nst.runner.votes import Vote
from nst.utils.errors import NstError, listed
from nst.utils.files import write_whole

PLOTLY = "plotly.min.js"
ESCAPES = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_[]|"} | {"<": "&#60;", ">": "&#62;"})


@dataclass(frozen=True)
class Section:
    """An experiment as the templates show it."""

    experiment: Experiment
    table: Table
    findings: list[Finding]
    choices: list[Choice]
    curves: str
    trade_offs: list[str]
    preferred: list[Ranking]

    @property
    def counts(self) -> str:
        """The number of finished runs, in words."""
        return counts([self.experiment])


def build(
    outputs: Path, names: Sequence[str] = (), known: Sequence[str] = (), report: str = MAIN
) -> Path:
    """Makes the page of a report from the run folders in ``OUTPUTS/runs``.

    In ``OUTPUTS/report``, or ``OUTPUTS/report/NAME`` for another report than ``main``.

    Args:
        outputs: root folder.
        names: experiments to show; none: all of the report that have runs.
        known: experiments of the report; those without any run are listed as missing.
        report: name of the report; ``ALL``: of all reports.

    Returns:
        The page.

    Raises:
        NstError: if there is no run of any of them, or the page cannot be written.
    """
    found = collect(outputs)
    shown = select(found, names, report)
    pairs = measured.collect(outputs)
    cast = votes.read(outputs)
    apart = preferred.outside(outputs, cast, found.values())
    general = not names and report in (MAIN, ALL)
    if not shown and not (general and (pairs or apart)):
        what = listed(names) if names else f"an experiment of the report {report}"
        others = sorted({each.config.report for each in found.values()} - {report})
        hint = ""
        if others and not names:
            hint = f"; there are runs of other reports (--report NAME): {listed(others)}"
        text = f"no run of {what} in {outputs / 'runs'}{hint}; nst-report report --run makes them"
        raise NstError(text)
    folder = folder_of(outputs, report)
    missing = [name for name in names or known if name not in found]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        variables = _variables(shown, pairs, cast, missing, folder, report)
        variables["preferred"] = apart
        write_whole(folder / PLOTLY, get_plotlyjs().encode())
        write_whole(folder / "numbers.csv", _numbers(shown, pairs).encode())
        for name in ("report.md", "index.html"):  # the page last: it links to the others
            text = environment().get_template(f"{name}.jinja").render(variables)
            write_whole(folder / name, text.encode())
    except OSError as error:
        raise NstError(f"the report cannot be written: {error}") from error
    return folder / "index.html"


def folder_of(outputs: Path, report: str) -> Path:
    """The folder of a report's page."""
    return outputs / "report" / ("" if report in (MAIN, ALL) else report)


def _variables(
    shown: Sequence[Experiment],
    pairs: Sequence[Pair],
    cast: Sequence[Vote],
    missing: list[str],
    folder: Path,
    report: str,
) -> dict[str, Any]:
    """The variables of the templates; copies the pictures into the page's folder."""
    gallery = Gallery(folder)
    sections = [
        Section(
            experiment,
            lay_out(experiment, gallery),
            claims.test(experiment),
            choose(experiment),
            plots.curves(experiment),
            [plots.trade_off(experiment, plot) for plot in experiment.config.plots],
            preferred.rank(preferred.of_experiment(experiment), cast),
        )
        for experiment in shown
    ]
    used = {found.metric for section in sections for found in section.findings}
    used |= {found.metric for section in sections for found in section.choices}
    groups = measured.lay_out(pairs, gallery)
    used |= {name for group in groups for name in group.measures}
    return {
        "sections": sections,
        "measured": groups,
        "title": "" if report in (MAIN, ALL) else report,
        "missing": missing,
        "counts": counts(shown),
        "machines": _machines(shown),
        "limits": limits(shown),
        "equal": any(
            question.at_equal
            for each in shown
            for question in (*each.config.claims, *each.config.choices)
        ),
        "caption_of": lambda experiment, key: partial(experiment.label, key),
        "metrics": MEASURES,
        "used": [name for name in MEASURES if name in used],
        "confidence": round(100 * claims.CONFIDENCE),
        "plotly": PLOTLY,
    }


def counts(experiments: Sequence[Experiment]) -> str:
    """``12 of 16 runs finished, 1 failed, 3 missing``."""
    runs = [job.run for experiment in experiments for job in experiment.jobs]
    found = Counter(run.status for run in runs if run)
    done, missing = found.pop(COMPLETED, 0), runs.count(None)
    parts = [f"{number} {status}" for status, number in found.items()]
    parts += [f"{missing} missing"] if missing else []
    return ", ".join([f"{done} of {len(runs)} runs finished", *parts])


def summary(numbers: Sequence[float]) -> str:
    """Mean and standard deviation: ``12.3 ± 0.4``; a dash for no numbers."""
    if not numbers:
        return "–"
    mean = f"{np.mean(numbers):.3g}"
    return mean if len(numbers) < 2 else f"{mean} ± {np.std(numbers, ddof=1):.2g}"


def environment(package: str = "nst.reports") -> jinja2.Environment:
    """The templates of a package, besides those of the report, and the filters they share."""
    names = dict.fromkeys([package, "nst.reports"])
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name) for name in names]),
        autoescape=jinja2.select_autoescape(["html.jinja"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"summary": summary, "cell": _markdown}
    return environment


def _markdown(text: object) -> str:
    """Text for a Markdown table: on one line, and without Markdown or HTML markup."""
    return " ".join(str(text).split()).translate(ESCAPES)


def _machines(experiments: Sequence[Experiment]) -> list[str]:
    """The devices and package versions that computed the runs, once each."""
    runs = [job.completed for experiment in experiments for job in experiment.jobs]
    machines = []
    for facts in (run.facts for run in runs if run):
        packages = facts.get("packages", {})
        versions = ", ".join(f"{name} {version}" for name, version in packages.items())
        machines.append(f"{facts.get('device')}, precision {facts.get('precision')}; {versions}")
    return list(dict.fromkeys(machines))


def _numbers(experiments: Sequence[Experiment], pairs: Sequence[Pair]) -> str:
    """Every number of every job and of every measured picture as CSV, a row each."""
    rows: list[dict[str, Any]] = []
    for experiment in experiments:
        for job in experiment.jobs:
            row: dict[str, Any] = {"experiment": experiment.config.name}
            row |= {key: job.values.get(key) for key in experiment.varying}
            row["status"] = job.run.status if job.run else "missing"
            if job.run:
                row |= {name: job.run.facts.get(name) for name in ("steps", "seconds")}
                row |= job.run.facts.get("losses", {}) | job.run.measures
                row["folder"] = job.run.folder.name
            row["command"] = job.command
            rows.append(row)
    rows += measured.numbers(pairs)
    first = ["experiment", *(key for experiment in experiments for key in experiment.varying)]
    last = ["folder", "command"]
    middle = [key for row in rows for key in row if key not in first and key not in last]
    text = io.StringIO()
    names = list(dict.fromkeys([*first, *middle, *last]))
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
