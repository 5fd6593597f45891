"""The comparison page's grid under its slider as one piece of HTML, for a cell of a notebook."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from nst.compare.comparison import import_map, script
from nst.compare.data import data
from nst.compare.page_run import details, read
from nst.compare.select import PAGE, Entry
from nst.reports.page import environment
from nst.runner.record import RunRecord

LARGEST = 512
"""Largest side of a picture, px."""

QUALITY = 85
TYPES = {".webp": "image/webp", ".png": "image/png"}


def embedded(records: Sequence[RunRecord], **view: str) -> str:
    """A frame with the pictures of runs, which needs no other file and no server.

    Args:
        records: of the runs; those without a config are left out.
        **view: what is chosen at first, such as ``rows`` and ``columns`` (``scripts/types.d.ts``).
    """
    found = [(record, run) for record in records if (run := read(record)) is not None]
    chosen = [Entry(record.folder, run, [], {}) for record, run in found]
    if not chosen:
        return "<p>no runs</p>"
    own = [_inlined(record) for record, _ in found]
    shown = data(chosen, own, None, None) | {"view": view}
    template = environment("nst.compare").get_template("compare.html.jinja")
    page = template.render(embedded=f"nstRuns({script(shown)});", scripts=[], imports=import_map())
    # the page gives the frame its height; where it may not, it scrolls
    style = "width:100%;height:34rem;border:0"
    return f'<iframe title="runs" style="{style}" srcdoc="{html.escape(page)}"></iframe>'


def _inlined(record: RunRecord) -> dict[str, Any]:
    """A run's part of the page's data, with pictures in place of the names of their files."""
    page = record.folder.parents[1] / PAGE
    page.mkdir(exist_ok=True)
    found = details(page, record)
    if found["filmstrip"]:
        strip = found["filmstrip"]
        # the last snapshot itself; of the others there are only the frames
        files = ["" for _ in strip["files"][1:]] + [_small(page / strip["files"][-1])]
        found["filmstrip"] = strip | {"href": _url(page / strip["href"]), "files": files}
    return found | {"inputs": {name: _url(page / each) for name, each in found["inputs"].items()}}


def _small(path: Path) -> str:
    with Image.open(path) as file:
        image = file.convert("RGB")
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.save(content, format="WEBP", quality=QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"


def _url(path: Path) -> str:
    content = base64.b64encode(path.read_bytes()).decode()
    return f"data:{TYPES[path.suffix]};base64,{content}"
