"""Text and numbers in LaTeX."""

from __future__ import annotations

import importlib.util
import re
import unicodedata
from functools import cache
from typing import Any

from nst.utils.errors import ConfigError

SPECIAL = {
    "[": "{[}",  # brackets would be an option after \\
    "]": "{]}",
    "|": r"\textbar{}",  # a dash in LaTeX's oldest encoding of fonts
    # as text, LaTeX has these in bitmap fonts, unless a package is loaded
    "·": r"\ensuremath{\cdot}",
    "×": r"\ensuremath{\times}",
    "°": r"\ensuremath{^\circ}",
    "µ": r"\ensuremath{\mu}",
    "→": r"\ensuremath{\rightarrow}",
    "←": r"\ensuremath{\leftarrow}",
}
"""Characters that LaTeX needs written otherwise than pylatexenc does."""


def check() -> None:
    """Checks that text can be converted.

    Raises:
        ConfigError: without pylatexenc.
    """
    if importlib.util.find_spec("pylatexenc") is None:
        raise ConfigError("--format", "tex", "needs pylatexenc: pip install 'nst[figures]'")


def text(plain: object) -> str:
    """Text in LaTeX, on one line.

    Symbols and Greek letters become commands. Other letters stay as they are: LaTeX reads UTF-8,
    and which of them there are depends on the paper's fonts.
    """
    line = " ".join(unicodedata.normalize("NFC", str(plain)).split())
    line = re.sub('"([^"]*)"', r"“\1”", line)  # straight ones would all be closing
    latex = _encoder().unicode_to_latex("".join(each for each in line if each.isprintable()))
    return re.sub("-(?=-)", "-{}", latex)  # two would become a dash


def number(plain: str) -> str:
    """A number as on the page, ``1.2e-05 ± 3e-06 dB``, in LaTeX; it may break before the ±."""
    value, sign, half = plain.partition(" ± ")
    half, _, unit = half.partition(" ") if sign else ("", "", "")
    if not sign:
        value, _, unit = value.partition(" ")
    parts = [f"${_powers(value)}$", rf"\mbox{{$\pm\,{_powers(half)}$}}" if sign else ""]
    ended = " ".join(filter(None, parts))
    return rf"{ended}~{text(unit)}" if unit else ended


def _powers(value: str) -> str:
    return re.sub(r"e([+-]\d+)", lambda found: rf"\times10^{{{int(found[1])}}}", value)


def unusual(latex: str) -> str:
    """The letters that pdfLaTeX does not have without further packages, each once."""
    return "".join(dict.fromkeys(each for each in latex if ord(each) > 0x17F))


@cache
def _encoder() -> Any:
    from pylatexenc import latexencode

    def letter(line: str, at: int) -> tuple[int, str] | None:
        character = line[at]
        if character in SPECIAL:
            return 1, SPECIAL[character]
        greek = unicodedata.name(character, "").startswith("GREEK")
        kept = unicodedata.category(character)[0] in "LM" and not greek
        return (1, character) if kept else None

    own = latexencode.UnicodeToLatexConversionRule(latexencode.RULE_CALLABLE, letter)
    return latexencode.UnicodeToLatexEncoder(
        conversion_rules=[own, "defaults"],
        unknown_char_policy="keep",
        unknown_char_warning=False,
    )
