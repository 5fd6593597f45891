"""The report's page: tables and claims of experiments."""

from __future__ import annotations

import html
from os import PathLike
from pathlib import Path
from typing import Any

from nst.api.arguments import words
from nst.api.errors import errors_in_one_line
from nst.cli.report import make
from nst.config.experiment import MAIN
from nst.runner.signals import second_signal_raises


class Page:
    """A page that was made.

    Attributes:
        path: its file, to be opened in a browser.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"Page({str(self.path)!r})"

    def _repr_html_(self) -> str:
        address = html.escape(self.path.resolve().as_uri())
        return f'<a href="{address}">{html.escape(str(self.path))}</a>'


@errors_in_one_line
def report(
    *names: str,
    run: bool = False,
    report: str = MAIN,
    outputs: str | PathLike[str] = "outputs",
    **keys: Any,
) -> Page:
    """Makes the page of a report: tables of experiments, with their claims tested.

    Args:
        *names: experiments to show; none: all of the report. With ``run`` also overrides.
        run: compute what is missing first.
        report: which one, such as ``losses``; ``all``: every experiment.
        outputs: root folder of the runs.
        **keys: with ``run``, values by key; see ``nst.run``.

    Raises:
        NstError: for wrong input, and if there is nothing to show.
        KeyboardInterrupt: at an interrupt; the same call resumes.

    Example:
        >>> nst.report("weights", run=True, image={"size": 64}, steps=50)
    """
    typed = words([each for each in names if "=" in each], {"outputs": outputs, **keys})
    typed = [each for each in typed if not each.startswith("outputs=")]  # make() has it
    experiments = [each for each in names if "=" not in each]
    with second_signal_raises():
        try:
            page, _, _ = make([*experiments, *typed], str(outputs), report, run)
        except SystemExit as error:  # a signal ended the sweeps
            raise KeyboardInterrupt from error
    return Page(page)
