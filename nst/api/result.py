"""A run: its folder, and what is in it."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf
from PIL import Image

from nst.compare.page_run import metrics
from nst.config.overrides import literal
from nst.runner.record import RunRecord
from nst.utils.errors import NstError, listed

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 320
"""Largest side of a result in a notebook, px."""

SHOWN_INPUT = 120
"""Largest side of a picture that the result was made from, px."""


class Snapshots(Mapping[int, Image.Image]):
    """The intermediate images by step; each is read when it is asked for."""

    def __init__(self, paths: Mapping[int, Path]) -> None:
        self.paths = dict(paths)

    def __getitem__(self, step: int) -> Image.Image:
        if step not in self.paths:
            problem = f"no snapshot at step {step}; snapshot_every decides which there are"
            raise KeyError(f"{problem}: {listed(self.paths)}")
        return _opened(self.paths[step])

    def __iter__(self) -> Iterator[int]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        return f"Snapshots at steps {listed(self.paths)}"


class Run:
    """A run that has a folder, finished or not.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.record = RunRecord(self.folder)

    @property
    def name(self) -> str:
        """Name of the run folder."""
        return self.folder.name

    @property
    def status(self) -> str:
        """``completed``, ``running``, ``interrupted``, ``failed``, ``diverged`` or ``pruned``."""
        return self.record.status

    @property
    def image(self) -> Image.Image:
        """The result, RGB.

        Raises:
            NstError: if there is none.
        """
        path = self.record.picture("final")
        if path is None:
            raise NstError(f"{self.name}: no result: the run is {self.status}")
        return _opened(path)

    @property
    def snapshots(self) -> Snapshots:
        """The intermediate images by step."""
        return Snapshots(self.record.snapshots)

    @property
    def config(self) -> DictConfig:
        """The resolved config."""
        return OmegaConf.create(literal(self.record.config))

    @property
    def metrics(self) -> pd.DataFrame:
        """A row per step, with its seconds and losses: ``metrics.csv``."""
        import pandas as pd

        return pd.DataFrame(self.record.rows).astype({"step": int} if self.record.rows else {})

    @property
    def measures(self) -> dict[str, float]:
        """Measures of the result, and the last losses and seconds."""
        return metrics(self.record)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}): {self.status}"

    def _repr_html_(self) -> str:
        """The picture and what it was made from, the loss over the steps, and the numbers."""
        path = self.record.picture("final") or self.record.picture("best")
        snapshots = self.record.snapshots
        shown = path or (snapshots[max(snapshots)] if snapshots else None)
        style = "display:block;min-width:12rem"  # a tiny one is enlarged
        picture = f'<img src="{_data(shown)}" alt="result" style="{style}">' if shown else ""
        inputs = "".join(
            f'<figure style="margin:0"><img src="{_data(file, SHOWN_INPUT)}" alt="{name}">'
            f"<figcaption>{name.replace('_', ' ')}</figcaption></figure>"
            for name, file in self.record.inputs.items()
        )
        rows = "".join(
            f'<tr><th style="text-align:left">{html.escape(name)}</th><td>{value:.4g}</td></tr>'
            for name, value in self.measures.items()
            if name.count("/") < 2  # not those of single layers
        )
        return (
            '<div style="display:flex;flex-wrap:wrap;gap:1.5em;align-items:flex-start">'
            f"<div>{picture}{self._curve()}"
            f'<div style="display:flex;gap:.5em">{inputs}</div>'
            f"<div><code>{html.escape(self.name)}</code>: "
            f"{html.escape(self.status)}</div></div><table>{rows}</table></div>"
        )

    def _curve(self) -> str:
        """The total loss over the steps, on a logarithmic axis."""
        losses = [row.get("loss/total", math.nan) for row in self.record.rows]
        points = [(i, math.log(each)) for i, each in enumerate(losses) if 0 < each < math.inf]
        if len(points) < 2:
            return ""
        low, high = (f(y for _, y in points) for f in (min, max))
        path = " ".join(
            f"{x / points[-1][0] * 300:.1f},{60 - (y - low) / ((high - low) or 1) * 56:.1f}"
            for x, y in points
        )
        return (
            '<svg viewBox="0 0 300 62" width="300" height="62" role="img" '
            'aria-label="total loss over steps"><polyline fill="none" stroke="#1f5fa8" '
            f'stroke-width="1.5" points="{path}"/></svg>'
        )


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as file:
        return file.convert("RGB")


def _data(path: Path, side: int = SHOWN) -> str:
    """A picture as a data URL, at most ``side`` px."""
    image = _opened(path)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    image.save(data, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
