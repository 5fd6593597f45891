"""Text for messages."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable
from typing import Any


def ranges(numbers: Iterable[int]) -> str:
    """``0-3,7`` for 0, 1, 2, 3 and 7."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(f"{each[0]}-{each[-1]}" if len(each) > 1 else f"{each[0]}" for each in parts)


def counted(number: int, one: str, more: str | None = None) -> str:
    """``1 run``, ``2 runs``; ``more`` is a plural without s."""
    return f"{number} {one if number == 1 else more or f'{one}s'}"


def natural(text: str) -> tuple[Any, ...]:
    """Key to sort names as people do (``2.jpg`` before ``10.jpg``), the same on every machine."""
    # macOS may store é as two characters; every second part is a number
    composed = unicodedata.normalize("NFC", text).casefold()
    parts = re.split("([0-9]+)", composed)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], text


def nearest(word: object, allowed: Iterable[str]) -> str | None:
    """The allowed word that resembles ``word`` most; None if none does."""
    return next(iter(difflib.get_close_matches(str(word), list(allowed), n=1)), None)


def folder_part(text: str) -> str:
    """The text as part of a folder's name: at most 32 of A to Z, a to z, 0 to 9 and _."""
    return re.sub(r"[^A-Za-z0-9_]+", "_", text)[:32].strip("_")
