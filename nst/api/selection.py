"""Several runs: selected, as a table, and under one slider."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from nst.api.errors import errors_in_one_line
from nst.api.result import Run
from nst.compare import comparison
from nst.compare.embedded import embedded
from nst.compare.select import entries, select
from nst.config.differences import differing
from nst.runner.record import FACTS
from nst.utils.errors import NstError
from nst.utils.files import escaped

if TYPE_CHECKING:
    import pandas as pd


class Runs(list[Run]):
    """A list of runs; in a notebook, their pictures under one slider."""

    def frame(self) -> pd.DataFrame:
        """A row per run: the settings in which they differ, the status, losses and measures."""
        import pandas as pd

        found = differing([run.record.settings for run in self]) if self else []
        rows = [
            {"name": run.name, **own, "status": run.status, **run.measures}
            for run, own in zip(self, found, strict=True)
        ]
        return pd.DataFrame(rows).set_index("name") if rows else pd.DataFrame()

    @property
    def metrics(self) -> pd.DataFrame:
        """A row per run and step: the settings in which the runs differ, seconds and losses."""
        import pandas as pd

        found = differing([run.record.settings for run in self]) if self else []
        parts = []
        for run, own in zip(self, found, strict=True):
            rows = run.metrics
            for key, value in {"name": run.name, **own}.items():
                rows[key] = [value] * len(rows)  # a value may be a list
            parts.append(rows)
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def grid(self, rows: str | None = None, columns: str | None = None) -> Grid:
        """The pictures under one slider, by a setting down and one across.

        Args:
            rows: a key in which the runs differ, such as ``weights.style``; None: chosen.
            columns: likewise.
        """
        return Grid(self, rows or "auto", columns or "auto")

    def compare(self) -> Path:
        """Makes the comparison page of these runs. Returns its file, to be opened in a browser.

        Raises:
            NstError: if there are no runs, or the page cannot be written.
        """
        if not self:
            raise NstError("no runs to compare")
        outputs = {run.folder.parents[1] for run in self}
        if len(outputs) > 1:
            raise NstError(f"the runs are in several folders: {', '.join(map(str, outputs))}")
        names = ",".join(run.name for run in self)
        return comparison.build(outputs.pop(), [f"name={names}"])

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Run: ...
    @overload
    def __getitem__(self, index: slice, /) -> Runs: ...
    def __getitem__(self, index: SupportsIndex | slice, /) -> Run | Runs:
        found = super().__getitem__(index)
        return Runs(found) if isinstance(found, list) else found

    def _repr_html_(self) -> str:
        return self.grid()._repr_html_()


class Grid:
    """Runs under one slider, for a cell of a notebook.

    Args:
        runs: the runs.
        rows: key of the rows; ``auto``: chosen.
        columns: key of the columns.
    """

    def __init__(self, runs: Iterable[Run], rows: str = "auto", columns: str = "auto") -> None:
        self.runs = list(runs)
        self.rows, self.columns = rows, columns

    def _repr_html_(self) -> str:
        if not self.runs:
            return "<p>no runs</p>"
        records = [run.record for run in self.runs]
        return embedded(records, rows=self.rows, columns=self.columns)

    def __repr__(self) -> str:
        return f"Grid of {len(self.runs)} runs"


@errors_in_one_line
def runs(
    *words: str | os.PathLike[str], outputs: str | os.PathLike[str] = "outputs", **keys: Any
) -> Runs:
    """Finds runs, the oldest first.

    Args:
        *words: a filter as of ``nst-report compare``: ``"sweep=last"``, ``"init=noise"``,
            ``"loss<20"``, text of a name; or a folder: of a run, or of outputs.
        outputs: root folder of the runs.
        **keys: values that runs must have: ``init="noise"``, ``status="completed"``.

    Raises:
        NstError: if no run matches, or for a key that no run has.
    """
    found: list[Run] = []
    filters: list[str] = []
    for word in words:
        folder = Path(word)
        if isinstance(word, str) and not folder.is_dir():
            filters.append(escaped(word))
        elif (folder / FACTS).exists():
            found.append(Run(folder.absolute()))
        else:
            outputs = folder
    if found and not filters and not keys:
        return Runs(found)
    filters += [f"{key}={value}" for key, value in keys.items()]
    chosen = select(entries(Path(outputs).absolute()), filters)
    return Runs([*found, *(Run(entry.folder) for entry in chosen)])
