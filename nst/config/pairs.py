"""Tables of pairs: ``pairs=table.csv`` is a job of a sweep for each row."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from hydra.errors import OverrideParseException

from nst.config.arguments import for_hydra
from nst.config.compose import conf_dir
from nst.config.keys import PICTURE_GROUPS, picture_keys
from nst.config.named_files import NamedFiles
from nst.config.overrides import parse, refusal
from nst.utils.errors import ConfigError
from nst.utils.files import existing, shown

KEY = "pairs"


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        table: as typed.
        number: of the row, as a spreadsheet counts; the header is row 1.
        overrides: as Hydra reads them.
    """

    table: str
    number: int
    overrides: list[str]


def in_row(table: str, number: int, problem: str) -> ConfigError:
    """The error for a row that is wrong."""
    return ConfigError(KEY, table, f"row {number}: {problem}")


def subject(key: str) -> str:
    """What a key sets: ``content`` and ``content.path`` both set the content."""
    group, _, name = key.lstrip("+").rpartition(".")
    return group if name == "path" and group in PICTURE_GROUPS else key.lstrip("+")


def columns(table: str) -> list[str]:
    """The keys that a table sets, as its header has them.

    Raises:
        ConfigError: if it cannot be read, or has no columns for content and style.
    """
    return [name for name in _header(table, _cells(table)) if name]


def rows(table: str, config_dirs: Sequence[str] = ()) -> list[Row]:
    """The rows of a table, a CSV file in UTF-8 whose first row has the keys.

    The keys are ``content``, ``style`` and those of any other overrides. Paths are relative to the
    table's folder. An empty cell sets nothing; content and style must not be empty.

    Args:
        table: path of the file, as typed.
        config_dirs: folders with config groups beside ``conf/``.

    Raises:
        ConfigError: naming table and row, for the first that is wrong.
    """
    cells = _cells(table)
    header = _header(table, cells)
    folder = str(shown(existing(table)).parent)
    base = "" if folder == "." else folder
    found = []
    for number, values in enumerate(cells[1:], 2):
        if not any(value.strip() for value in values):
            continue
        try:
            own = [*_overrides(header, values, config_dirs, base)]
        except (ConfigError, ValueError) as error:
            raise in_row(table, number, str(error)) from error
        found.append(Row(table, number, own))
    if not found:
        raise ConfigError(KEY, table, "has no rows below its header")
    return found


def _cells(table: str) -> list[list[str]]:
    try:
        with existing(table).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            try:
                return list(reader)
            except csv.Error as error:
                problem = f"line {reader.line_num}: {error}"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    except UnicodeDecodeError:
        problem = "is not UTF-8; save it as CSV in UTF-8"
    except ValueError as error:
        problem = str(error)
    raise ConfigError(KEY, table, problem)


def _header(table: str, cells: list[list[str]]) -> list[str]:
    header = [name.strip() for name in cells[0]] if cells else []
    subjects = [subject(name) for name in header if name]
    for needed in PICTURE_GROUPS:
        if needed not in subjects:
            first = ",".join(PICTURE_GROUPS)
            problem = f"row 1: no column {needed}; the first row names the columns: {first}"
            raise ConfigError(KEY, table, problem)
    for name in subjects:
        if subjects.count(name) > 1:
            raise ConfigError(KEY, table, f"row 1: two columns set {name}")
    return header


def _overrides(
    header: Sequence[str], values: Sequence[str], config_dirs: Sequence[str], base: str
) -> Iterator[str]:
    """The overrides of a row; raises a ConfigError that names the column."""
    cells = [*zip_longest(header, values, fillvalue="")]
    for key, value in cells:
        if value.strip() and not key:
            raise ConfigError("no column", value, "a cell with a comma needs double quotes")
    for key, value in cells:
        if value.strip():
            yield _override(key, value, config_dirs, base)
        elif subject(key) in PICTURE_GROUPS:
            raise ConfigError(key, value, "must not be empty")


def _override(key: str, value: str, config_dirs: Sequence[str], base: str) -> str:
    plain = key.lstrip("+")
    if plain in PICTURE_GROUPS or plain in picture_keys():
        names = NamedFiles(plain, (conf_dir(), *config_dirs), base)
        if names.option(value.strip()) is None and names.values(value) is None:
            raise names.unknown(value)
    text = for_hydra(f"{key}={value}", config_dirs, base)
    parsed = parse(text)
    if parsed is None:
        raise ValueError(refusal(OverrideParseException(text, "")))
    if parsed.is_sweep_override():
        raise ConfigError(key, value, "stands for several values; a row has one in each column")
    if parsed.is_hydra_override():
        raise ConfigError(key, value, "Hydra's own settings must be the same for all jobs")
    return text
