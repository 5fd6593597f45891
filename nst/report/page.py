"""Writes the report: index.html, report.md and numbers.csv, with the pictures beside them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from plotly.offline import get_plotlyjs

from nst.config.experiment import MEASURES
from nst.report import claims, plots
from nst.report.claims import Finding
from nst.report.collect import Experiment, collect
from nst.report.table import Gallery, Table, called, label, lay_out
from nst.utils.errors import NstError, listed
from nst.utils.files import write_whole

PLOTLY = "plotly.min.js"


@dataclass(frozen=True)
class Section:
    """An experiment, ready for the template."""

    experiment: Experiment
    table: Table
    findings: list[Finding]
    curves: str
    trade_offs: list[str]

    @property
    def counts(self) -> str:
        """How much of it is there, in words."""
        return counts([self.experiment])


def build(outputs: Path, names: Sequence[str] = (), known: Sequence[str] = ()) -> Path:
    """Makes ``OUTPUTS/report`` from the run folders in ``OUTPUTS/runs``.

    Args:
        outputs: root folder.
        names: experiments to show; none: all of which there are runs.
        known: experiments that exist; those without any run are listed as missing.

    Returns:
        The page.

    Raises:
        NstError: if there is no run of any of them, or the page cannot be written.
    """
    found = collect(outputs)
    shown = [found[name] for name in found if not names or name in names]
    if not shown:
        what = f" of {listed(names)}" if names else " that belongs to an experiment"
        raise NstError(f"no run{what} in {outputs / 'runs'}; nst-report report --run makes them")
    folder = outputs / "report"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        gallery = Gallery(folder)
        sections = [
            Section(
                experiment,
                lay_out(experiment, gallery),
                claims.test(experiment),
                plots.curves(experiment),
                [plots.trade_off(experiment, plot) for plot in experiment.config.plots],
            )
            for experiment in shown
        ]
        facts: dict[str, Any] = {
            "sections": sections,
            "missing": [name for name in names or known if name not in found],
            "counts": counts(shown),
            "machines": _machines(shown),
            "measures": MEASURES,
            "measured": _measured(sections),
            "confidence": round(100 * claims.CONFIDENCE),
            "plotly": PLOTLY,
        }
        _write(folder / PLOTLY, get_plotlyjs())
        _write(folder / "numbers.csv", _numbers(shown))
        for name in ("report.md", "index.html"):  # the page last: it names the others
            _write(folder / name, environment().get_template(f"{name}.jinja").render(facts))
    except OSError as error:
        raise NstError(f"the report cannot be written: {error}") from error
    return folder / "index.html"


def counts(experiments: Sequence[Experiment]) -> str:
    """``12 of 16 runs finished, 1 failed, 3 missing``."""
    jobs = [job for experiment in experiments for job in experiment.jobs]
    done = sum(job.completed is not None for job in jobs)
    missing = sum(job.result is None for job in jobs)
    others: dict[str, int] = {}
    for job in jobs:
        if job.result and not job.completed:
            others[job.result.status] = others.get(job.result.status, 0) + 1
    parts = [f"{done} of {len(jobs)} runs finished"]
    parts += [f"{number} {status}" for status, number in others.items()]
    return ", ".join([*parts, *([f"{missing} missing"] if missing else [])])


def summary(numbers: Sequence[float]) -> str:
    """Mean and standard deviation: ``12.3 ± 0.4``; a dash for no numbers."""
    if not numbers:
        return "–"
    mean = f"{np.mean(numbers):.3g}"
    return mean if len(numbers) < 2 else f"{mean} ± {np.std(numbers, ddof=1):.2g}"


def environment(package: str = "nst.report") -> jinja2.Environment:
    """The templates of a package, with what they share, and what they may use."""
    names = dict.fromkeys([package, "nst.report"])
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name) for name in names]),
        autoescape=jinja2.select_autoescape(["html.jinja"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"summary": summary, "cell": _markdown, "called": called}
    environment.globals |= {"label": label}
    return environment


def _markdown(text: object) -> str:
    """A text in a Markdown table: on one line, without what Markdown or HTML would take up."""
    line = " ".join(str(text).split())
    for sign in "\\`*_[]<>|":
        line = line.replace(sign, f"\\{sign}" if sign not in "<>" else f"&#{ord(sign)};")
    return line


def _machines(experiments: Sequence[Experiment]) -> list[str]:
    """What computed the runs, once each."""
    machines: dict[str, None] = {}
    for experiment in experiments:
        for job in experiment.jobs:
            if job.completed:
                facts = job.completed.facts
                packages = facts.get("packages", {})
                versions = ", ".join(f"{name} {version}" for name, version in packages.items())
                text = f"{facts.get('device')}, precision {facts.get('precision')}; {versions}"
                machines[text] = None
    return list(machines)


def _measured(sections: Sequence[Section]) -> list[str]:
    """Measures that the claims used, in their order."""
    used = {finding.measure for section in sections for finding in section.findings}
    return [name for name in MEASURES if name in used]


def _numbers(experiments: Sequence[Experiment]) -> str:
    """Every number of every job as CSV, a row each."""
    rows: list[dict[str, Any]] = []
    for experiment in experiments:
        for job in experiment.jobs:
            row: dict[str, Any] = {"experiment": experiment.config.name}
            row |= {key: job.values.get(key) for key in experiment.varying}
            result = job.result
            row["status"] = result.status if result else "missing"
            if result:
                row |= {name: result.facts.get(name) for name in ("steps", "seconds")}
                row |= result.facts.get("losses", {}) | result.facts.get("measures", {})
                row["folder"] = result.folder.name
            row["command"] = job.command
            rows.append(row)
    first = ["experiment", *(key for experiment in experiments for key in experiment.varying)]
    last = ["folder", "command"]
    middle = [key for row in rows for key in row if key not in first and key not in last]
    text = io.StringIO()
    names = list(dict.fromkeys([*first, *middle, *last]))
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    write_whole(path, text.encode())
