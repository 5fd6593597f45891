"""Markdown for a W&B report, with the user's texts escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nst.config.experiment import MEASURES
from nst.reports.claims import Finding
from nst.reports.collect import Experiment
from nst.reports.page import summary
from nst.reports.wandb_report.runs import LoggedRun


def plain(text: object) -> str:
    """Escapes a text, on one line, so that Markdown, formulas and HTML have no effect."""
    line = " ".join(str(text).split())
    # character references, not backslashes, which formulas and HTML do not know
    return re.sub(r"[^\w\s.,;()'%+/=…–·±-]|_", lambda sign: f"&#{ord(sign[0])};", line)


def claims_table(experiment: Experiment, findings: Sequence[Finding]) -> str:
    """A row per finding: sentence, metric, mean ± standard deviation, verdict, reason."""
    head = ("sentence", "metric", "numbers", "verdict", "reason")
    rows = []
    for finding in findings:
        numbers = "; ".join(
            f"{experiment.label(finding.claim.key, value)}: {summary(found)}"
            for value, found in finding.numbers.items()
        )
        metric = MEASURES[finding.metric].title if finding.metric else "setting"
        text = f"{finding.text} {finding.claim.note}".strip()
        rows.append((text, metric, numbers, finding.verdict, finding.reason))
    return _table(head, rows)


def runs_table(runs: Sequence[LoggedRun]) -> str:
    """A row per run: folder, the id by which W&B's panels name it, caption."""
    rows = [(logged.run.folder.name, logged.id, logged.caption) for logged in runs]
    return _table(("run", "id", "caption"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
