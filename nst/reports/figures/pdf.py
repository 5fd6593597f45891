"""A layout as PDF: vector text and lossless pictures, with fonts as publishers require them."""

from __future__ import annotations

import importlib.util
import io
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from nst.reports.figures.layout import GAP, LEADING, TEXT, Entry, Layout, Line
from nst.utils.errors import ConfigError

FONTS = ("STIXGeneral", "DejaVu Sans")
"""Parts of Matplotlib: of Times' shapes, and for the letters that it lacks."""

SETTINGS: Any = {
    "font.family": list(FONTS),
    "pdf.fonttype": 42,  # publishers refuse Type 3, Matplotlib's default
    "pdf.compression": 6,
}

LEAST_TEXT = 5.0
"""Text that is still too wide at this size is broken within a word."""

PAD = 1.0
"""Between a picture and its text."""

ASCENT = 0.75
"""Height of the letters over their size."""

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Block:
    """Lines of text of one size."""

    lines: tuple[str, ...] = ()
    size: float = TEXT

    @property
    def height(self) -> float:
        """Of all lines."""
        return len(self.lines) * self.size * LEADING


def render(layout: Layout) -> bytes:
    """The PDF; the same bytes for the same layout.

    Raises:
        ConfigError: without Matplotlib.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError("--format", "pdf", "needs Matplotlib: pip install 'nst[figures]'")
    from matplotlib import rc_context
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.figure import Figure

    with rc_context(SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # ``without_glyphs`` names them
        drawn = [_Drawn(line, layout) for line in layout.lines]
        height = sum(line.height for line in drawn) + GAP * (len(drawn) - 1)
        figure = Figure(figsize=(layout.width / 72, height / 72))
        FigureCanvasPdf(figure)
        top = height
        for line in drawn:
            line.draw(_Page(figure, layout.width, height), top)
            top -= line.height + GAP
        file = io.BytesIO()
        figure.savefig(file, format="pdf", metadata={"CreationDate": None, "Creator": "nst"})
    return file.getvalue()


def without_glyphs(layout: Layout) -> str:
    """The characters of a layout that none of the fonts has, each once."""
    texts = [part for line in layout.lines for part in line.caption]
    texts += [text for entry in layout.entries for text in (entry.heading, entry.note)]
    characters = dict.fromkeys("".join(texts))
    return "".join(each for each in characters if each.strip() and not _has_glyph(each))


def powers(text: str) -> str:
    """``1.2e-05`` as ``1.2×10⁻⁵``."""
    return re.sub(
        r"e([+-]\d+)", lambda found: "×10" + str(int(found[1])).translate(SUPERSCRIPTS), text
    )


@dataclass(frozen=True)
class _Page:
    """A figure of Matplotlib, with lengths in points from its lower left corner."""

    figure: Any
    width: float
    height: float

    def text(self, block: Block, x: float, top: float, **more: Any) -> None:
        """Centres lines of text on x."""
        for index, line in enumerate(block.lines):
            y = top - block.size * (LEADING * index + ASCENT + (LEADING - 1) / 2)
            self._text(line, x, y, block.size, va="baseline", **more)

    def upright(self, block: Block, right: float, y: float) -> None:
        """Centres lines of text on y that are read from below, the last ends at the right."""
        for index, line in enumerate(reversed(block.lines)):
            x = right - block.size * LEADING * (index + 0.5)
            self._text(line, x, y, block.size, va="center", rotation=90)

    def _text(self, text: str, x: float, y: float, size: float, **more: Any) -> None:
        place = x / self.width, y / self.height
        self.figure.text(*place, text, fontsize=size, ha="center", parse_math=False, **more)

    def picture(self, file: str, x: float, y: float, width: float, height: float) -> None:
        """Every pixel as it is; the reader's program scales it."""
        axes = self._axes(x, y, width, height)
        with Image.open(file) as image:
            axes.imshow(np.asarray(image.convert("RGB")), interpolation="none", aspect="auto")
        axes.axis("off")

    def frame(self, x: float, y: float, width: float, height: float) -> None:
        """A box for a picture that is missing."""
        axes = self._axes(x, y, width, height)
        axes.set(xticks=[], yticks=[])
        for side in axes.spines.values():
            side.set(color="0.7", linewidth=0.5)

    def _axes(self, x: float, y: float, width: float, height: float) -> Any:
        place = x / self.width, y / self.height, width / self.width, height / self.height
        return self.figure.add_axes(place)


class _Drawn:
    """A line with its text broken, so that its height is known."""

    def __init__(self, line: Line, layout: Layout) -> None:
        self.layout = layout
        self.line = line
        self.headings = [_broken([entry.heading], layout.cell) for entry in line.entries]
        self.numbers = [_numbers(entry, layout.cell) for entry in line.entries]
        self.picture = line.aspect * layout.cell
        parts = [_broken([part], (self.picture or layout.cell) + 2 * GAP) for part in line.caption]
        size = min((part.size for part in parts), default=TEXT)
        self.caption = Block(tuple(text for part in parts for text in part.lines), size)
        self.above = max(block.height for block in self.headings) + PAD * line.headed
        self.below = max(sum(block.height for block in blocks) for blocks in self.numbers)
        self.below += PAD * bool(line.metrics)
        if not line.aspect:  # numbers alone
            self.below = max(self.below, TEXT * LEADING)

    @property
    def height(self) -> float:
        """With the text above and below the pictures."""
        return self.above + self.picture + self.below

    def draw(self, page: _Page, top: float) -> None:
        cell, columns = self.layout.cell, self.layout.columns
        used = self.layout.gutter + columns * (cell + GAP) - GAP
        left = (self.layout.width - used) / 2 + self.layout.gutter
        middle = top - self.above - self.picture / 2
        if self.caption.lines:
            y = middle if self.picture else top - self.above - self.below / 2
            page.upright(self.caption, left - GAP, y)
        for index, entry in enumerate(self.line.entries):
            x = left + index * (cell + GAP)
            heading = self.headings[index]
            page.text(heading, x + cell / 2, top - self.above + PAD + heading.height)
            self._picture(page, entry, x, middle)
            at = middle - self.picture / 2 - PAD
            for block in self.numbers[index]:
                page.text(block, x + cell / 2, at)
                at -= block.height

    def _picture(self, page: _Page, entry: Entry, x: float, middle: float) -> None:
        cell = self.layout.cell
        if entry.shot:
            scale = min(cell / entry.shot.width, self.picture / entry.shot.height)
            width, height = entry.shot.width * scale, entry.shot.height * scale
            corner = x + (cell - width) / 2, middle - height / 2
            page.picture(entry.shot.href, *corner, width, height)
        elif entry.note:
            if self.picture:
                page.frame(x, middle - self.picture / 2, cell, self.picture)
            note = _broken([entry.note], cell)
            page.text(note, x + cell / 2, middle + note.height / 2, color="0.4")


def _numbers(entry: Entry, width: float) -> list[Block]:
    """A block of text for each metric: broken before the number, then before its interval."""
    blocks = []
    for title, number in entry.numbers:
        value, sign, half = powers(number).replace(" ", "\u00a0").partition("\u00a0±")
        blocks.append(_broken([title, value, sign.strip("\u00a0") + half if sign else ""], width))
    return blocks


def _broken(texts: Iterable[str], width: float) -> Block:
    """Text in lines that are not wider than this, smaller if a word needs it.

    Words end at spaces; each of the texts begins a new word.
    """
    words = [word for text in texts for word in text.split(" ") if word]
    if not words:
        return Block()
    widest = max(_width(word) for word in words)  # at size 1
    size = min(TEXT, max(LEAST_TEXT, width / widest))
    lines: list[str] = []
    for piece in (piece for word in words for piece in _pieces(word, width / size)):
        if lines and _width(f"{lines[-1]} {piece}") * size <= width:
            lines[-1] += f" {piece}"
        else:
            lines.append(piece)
    return Block(tuple(lines), size)


def _pieces(word: str, width: float) -> list[str]:
    """The word, in pieces if it is wider than this."""
    pieces = [""]
    for letter in word:
        if pieces[-1] and _width(pieces[-1] + letter) > width + 1e-6:
            pieces.append("")
        pieces[-1] += letter
    return pieces


@cache
def _width(text: str) -> float:
    """Of a line of text, over its size."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    known = "".join(each if _has_glyph(each) else "M" for each in text)
    font = FontProperties(family=list(FONTS), size=100)
    return float(text_to_path.get_text_width_height_descent(known, font, False)[0]) / 100


@cache
def _has_glyph(character: str) -> bool:
    from matplotlib.font_manager import findfont, get_font

    return any(get_font(findfont(name)).get_char_index(ord(character)) for name in FONTS)
