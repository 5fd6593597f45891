"""Papers that tests compile, and what is read of their PDFs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

PAPER = r"""\documentclass[twocolumn]{article}
\usepackage{graphicx}
\usepackage{booktabs}
%s
\graphicspath{{figures/}}
\begin{document}
Figure~\ref{fig:nst-%s}.
\input{figures/%s}
\end{document}
"""


def compiler() -> str:
    """Path of pdfLaTeX; without it the test is skipped, in CI it fails."""
    found = shutil.which("pdflatex")
    if found is None:
        reason = "no pdflatex is installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def compiled(tex: Path, place: Path, preamble: str = "") -> tuple[str, str]:
    """A paper of two columns with a figure from a folder beside it: its text, and its log."""
    command = [compiler(), "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    place.mkdir()
    (place / "figures").symlink_to(tex.parent.resolve())
    (place / "paper.tex").write_text(PAPER % (preamble, tex.stem, tex.stem), encoding="utf-8")
    for _ in range(2):  # for the references
        ended = subprocess.run(command, cwd=place, capture_output=True, check=False)
        assert ended.returncode == 0, ended.stdout.decode(errors="replace")[-2000:]
    log = (place / "paper.log").read_text(encoding="utf-8", errors="replace")
    return text_of(place / "paper.pdf"), log


def text_of(pdf: Path) -> str:
    """All text of a PDF, on one line."""
    return " ".join(" ".join(page.extract_text() for page in PdfReader(pdf).pages).split())


def fonts_of(pdf: Path) -> list[tuple[str, bool]]:
    """The type of each font of a PDF's first page, and whether it is embedded."""
    found: Any = PdfReader(pdf).pages[0]["/Resources"]
    fonts = []
    for each in found["/Font"].values():
        font = each.get_object()
        font = font["/DescendantFonts"][0].get_object() if "/DescendantFonts" in font else font
        described = font.get("/FontDescriptor", {})
        embedded = any(name.startswith("/FontFile") for name in described)
        fonts.append((str(font["/Subtype"]), embedded))
    return fonts
