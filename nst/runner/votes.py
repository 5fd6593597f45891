"""Votes: which of two results a person prefers. ``OUTPUTS/votes.jsonl`` has one in each line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path

from filelock import SoftFileLease

from nst.metrics.preference import Comparison, rankings
from nst.runner.folder import LOCK
from nst.utils.errors import ConfigError, listed, reason
from nst.utils.files import write_whole
from nst.utils.lock import lock

log = logging.getLogger(__name__)

FILE = "votes.jsonl"
SHARES = {"left": 1.0, "equal": 0.5, "right": 0.0}
"""What may be preferred, and the share of the left result in it."""

_LONG = 255  # characters of a name
_EXAMPLE = '{"left": RUN, "right": RUN, "preferred": "left", "time": "2026-01-31T12:00:00Z"}'


@dataclass(frozen=True)
class Vote:
    """A person's choice between the results of two runs.

    Attributes:
        left: name of the folder of the run whose result was on the left.
        right: of the other one.
        preferred: a key of ``SHARES``; ``equal``: no difference.
        time: when, in ISO 8601.
        voter: name of the person; may be empty.
    """

    left: str
    right: str
    preferred: str
    time: str
    voter: str = ""

    @property
    def comparison(self) -> Comparison:
        """The two runs, and the share of the first."""
        return self.left, self.right, SHARES[self.preferred]

    @property
    def line(self) -> str:
        """The vote as a line of the file."""
        return json.dumps(asdict(self))


def parse(text: str) -> Vote:
    """The vote in a line of a file.

    Raises:
        ValueError: saying what is wrong, and what is allowed.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"is not JSON; allowed: {_EXAMPLE}") from error
    names = [item.name for item in fields(Vote)]
    needed = names[:-1]
    if not isinstance(found, dict) or not set(needed) <= found.keys() <= set(names):
        raise ValueError(f"needs {listed(needed)}, and may have {names[-1]}; such as {_EXAMPLE}")
    for name, value in found.items():
        if not isinstance(value, str) or len(value) > _LONG:
            raise ValueError(f"{name} must be a text of at most {_LONG} characters")
    vote = Vote(**found)
    if vote.preferred not in SHARES:
        raise ValueError(f"preferred is {vote.preferred!r}; allowed: {listed(SHARES)}")
    if vote.left == vote.right:
        raise ValueError("left and right are the same run")
    try:
        datetime.fromisoformat(vote.time)
    except ValueError as error:
        raise ValueError(f"time is {vote.time!r}; allowed: such as 2026-01-31T12:00:00Z") from error
    return vote


def read(outputs: Path) -> list[Vote]:
    """The votes on runs that exist, in order; altered lines are skipped."""
    try:
        found = [_parsed(line) for line in _lines(outputs)]
    except OSError as error:
        log.warning("skipped all votes: %s", reason(error))
        return []
    existing = runs(outputs)
    if damaged := found.count(None):
        log.warning("%s: skipped %d lines, truncated or altered", outputs / FILE, damaged)
    return [vote for vote in found if vote and {vote.left, vote.right} <= existing]


def runs(outputs: Path) -> set[str]:
    """The names of all run folders."""
    return {path.name for path in (outputs / "runs").glob("*")}


def load(file: Path) -> list[Vote]:
    """The votes of a file that the page has made.

    Raises:
        ConfigError: if it cannot be read, or naming the first line that is no vote.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        problem = getattr(error, "strerror", None) or "is not UTF-8"
        raise ConfigError("--add", file, f"cannot be read: {problem}") from error
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(parse(line))
            except ValueError as error:
                raise ConfigError("--add", file, f"line {number}: {error}") from error
    return found


def add(outputs: Path, votes: Iterable[Vote]) -> int:
    """Adds the votes that the file does not have yet. Returns their number.

    Raises:
        OSError: if the file cannot be read or written; it is as before.
    """
    with _locked(outputs):
        lines = _lines(outputs)
        known = set(map(_parsed, lines))
        new = [vote for vote in dict.fromkeys(votes) if vote not in known]
        if new:
            _write(outputs, [*lines, *(vote.line for vote in new)])
    return len(new)


def remove(outputs: Path, vote: Vote) -> None:
    """Removes a vote, if the file has it; raises what ``add`` raises."""
    with _locked(outputs):
        _write(outputs, [line for line in _lines(outputs) if _parsed(line) != vote])


def preference_values(outputs: Path) -> dict[str, float]:
    """How much people prefer the results of the runs, by the name of the run folder.

    Returns:
        Log odds against an average run among those that it was compared with; higher is better
        (``nst.metrics.preference``). Runs without votes are missing.
    """
    found = rankings([vote.comparison for vote in read(outputs)])
    return {name: score.value for ranking in found for name, score in ranking.items()}


def _lines(outputs: Path) -> list[str]:
    try:
        text = (outputs / FILE).read_bytes().decode(errors="surrogateescape")
    except FileNotFoundError:
        return []
    return [line for line in text.split("\n") if line.strip()]


def _parsed(line: str) -> Vote | None:
    try:
        return parse(line)
    except ValueError:
        return None


def _write(outputs: Path, lines: Iterable[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    write_whole(outputs / FILE, text.encode(errors="surrogateescape"))


def _locked(outputs: Path) -> SoftFileLease:
    outputs.mkdir(parents=True, exist_ok=True)
    return lock(outputs / LOCK)  # held for moments only, also by runs that begin
