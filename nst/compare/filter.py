"""The filter of runs, for the command line; ``templates/scripts/filter.js`` is the page's.

Both follow the grammar in docs/compare.md, and a property test compares them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

Facts = Mapping[str, str | list[str]]
"""The values of a run by key, as text: settings, metrics, status and so on."""

TEXT_KEYS = ("name", "status", "experiment", "sweep", "label")
"""Keys whose values a word without a key is searched in; only the page has labels."""

_WORD = re.compile(r"([^=<>]+)([=<>])(.*)", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Condition:
    """What one word demands of a run.

    Attributes:
        keys: one of their values must match.
        sign: ``=``, ``<`` or ``>``.
        patterns: one of them must match; with ``<`` and ``>`` a number.
    """

    keys: tuple[str, ...]
    sign: str
    patterns: tuple[str, ...]

    def matches(self, facts: Facts) -> bool:
        """Whether a run with these facts meets the condition."""
        texts = [text for key in self.keys if key in facts for text in _texts(facts[key])]
        return any(self._holds(text, pattern) for text in texts for pattern in self.patterns)

    def _holds(self, text: str, pattern: str) -> bool:
        value, bound = number(text), number(pattern)
        if self.sign != "=":
            return value < bound if self.sign == "<" else value > bound
        literal_brackets = pattern.lower().replace("[", "[[]")
        return value == bound or fnmatchcase(text.lower(), literal_brackets)


def parse(word: str) -> Condition:
    """The condition of a word such as ``init=noise,content``, ``loss<20`` or ``cat``."""
    match = _WORD.fullmatch(word)
    if match is None:
        return Condition(TEXT_KEYS, "=", (word if re.search(r"[*?]", word) else f"*{word}*",))
    key, sign, text = match.groups()
    if sign != "=":
        return Condition((key,), sign, (text,))
    if text.startswith("["):  # a whole list
        return Condition((key,), sign, (text.replace(" ", ""),))
    return Condition((key,), sign, (text, *text.split(",")))  # a value may contain commas


def number(text: str) -> float:
    """The number that a text is; NaN, which equals no number, if it is none."""
    return float(text) if _NUMBER.fullmatch(text) else float("nan")


def _texts(value: str | list[str]) -> list[str]:
    return [f"[{','.join(value)}]", *value] if isinstance(value, list) else [value]
