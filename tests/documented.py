"""The commands that README and docs show, from their ```` ```sh ```` blocks.

Nothing is put in the place of a placeholder: what a reader replaces is written in CAPITALS where
any name may be (``content.path=PHOTO``), so a command has to be right as it is printed.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BEFORE = re.compile(r"srun|[A-Z]+=.*")
"""What may stand before the program."""


@dataclass(frozen=True)
class Command:
    """A command of a page.

    Attributes:
        page: its name.
        line: where the command begins.
        words: the program, without its folder, and its arguments.
    """

    page: str
    line: int
    words: tuple[str, ...]

    @property
    def program(self) -> str:
        return self.words[0]

    @property
    def arguments(self) -> list[str]:
        return list(self.words[1:])

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {' '.join(self.words)}"


def fences(page: Path) -> list[tuple[str, str, int]]:
    """The blocks of a page: language, text, and the line where the text begins."""
    text = page.read_text("utf-8")
    return [
        (found[1], found[2], text.count("\n", 0, found.start(2)) + 1)
        for found in _FENCE.finditer(text)
    ]


def commands(page: Path) -> list[Command]:
    """The commands of a page's blocks, in order."""
    found = []
    for language, text, first in fences(page):
        if language != "sh":
            continue
        joined = text.replace("\\\n", "\x00")  # a continued line keeps its number
        number = first
        for line in joined.splitlines():
            words = shlex.split(line.replace("\x00", " "), comments=True)
            words = [word for word in words if word != "&"]
            while words and _BEFORE.fullmatch(words[0]):
                words = words[1:]
            if words:
                program = words[0] if words[0] == "." else Path(words[0]).name
                found.append(Command(page.name, number, (program, *words[1:])))
            number += 1 + line.count("\x00")
    return found


def all_commands(*programs: str) -> list[Command]:
    """The commands of all pages, of these programs or of any."""
    found = [command for page in PAGES for command in commands(page)]
    return [command for command in found if not programs or command.program in programs]
