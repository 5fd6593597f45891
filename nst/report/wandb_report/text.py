"""The words of a W&B report, as Markdown in which no text of a user is markup."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nst.config.experiment import MEASURES
from nst.report.claims import Finding
from nst.report.collect import Experiment
from nst.report.page import summary
from nst.report.table import label
from nst.report.wandb_report.runs import Tracked


def plain(text: object) -> str:
    """A text on one line that Markdown shows as it is, formulas and HTML included."""
    line = " ".join(str(text).split())
    # references, not backslashes: a reader of formulas or HTML does not see the sign at all
    return re.sub(r"[^\w\s.,;()'%+/=…–·±-]|_", lambda sign: f"&#{ord(sign[0])};", line)


def claims_table(experiment: Experiment, findings: Sequence[Finding]) -> str:
    """A row per finding: sentence, measure, mean ± standard deviation, verdict, reason."""
    head = ("sentence", "measure", "numbers", "verdict", "because")
    rows = []
    for finding in findings:
        numbers = "; ".join(
            f"{label(experiment, finding.claim.key, value)}: {summary(found)}"
            for value, found in finding.numbers.items()
        )
        measure = MEASURES[finding.measure].title if finding.measure else "setting"
        text = f"{finding.claim.text} {finding.claim.note}".strip()
        rows.append((text, measure, numbers, finding.verdict, finding.reason))
    return _table(head, rows)


def runs_table(found: Sequence[Tracked]) -> str:
    """What the runs are, by the names that W&B's panels give them."""
    rows = [(run.result.folder.name, run.id, run.caption) for run in found]
    return _table(("run", "id", "what"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
