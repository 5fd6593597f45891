"""Files that users name in overrides: as they are, by a pattern, by a folder, or by an option."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

import yaml
from hydra.core.override_parser.types import ChoiceSweep, QuotedString

from nst.config.keys import PICTURE_GROUPS, picture_keys
from nst.config.overrides import parse, quoted
from nst.utils.errors import ConfigError, listed
from nst.utils.files import BUILTIN, escaped, existing, files_in, folder, in_a_home, matching
from nst.utils.text import nearest

Piece = tuple[str, list[str] | None]
"""A part of a value, and the values that it stands for; None if it names no file."""


@dataclass(frozen=True)
class NamedFiles:
    """The files that the value of a key names.

    Attributes:
        key: takes a file, such as ``content.path``, or is one of ``PICTURE_GROUPS``.
        config_dirs: folders with options of the group.
        base: folder that relative paths start from; empty: the current one.
    """

    key: str
    config_dirs: Sequence[str] = ()
    base: str = ""

    def values(self, typed: str) -> list[str] | None:
        """The value, or each value of a sweep, as Hydra's grammar has it.

        The text itself may be the name of a file, whatever its characters; or else its parts
        between commas, the longest ones first; or else the texts that Hydra reads it as.

        Args:
            typed: the value as typed.

        Returns:
            None if it names no file.

        Raises:
            ConfigError: for a pattern that matches nothing, a folder without pictures, or a text
                that is neither picture nor option, in a list or beside one that is.
        """
        pieces: list[Piece] | None = None
        for read in (self._split, self._parsed):
            pieces = read(typed)
            if any(values is not None for _, values in pieces or ()):
                return self._all_of(pieces or ())
        if pieces is None:
            self._refuse_pattern(typed)
        for text, _ in pieces or ():
            self._refuse_pattern(text)
            if self.key in PICTURE_GROUPS and text.startswith("["):
                raise self.unknown(text)  # Hydra reads it as several options at once
        return None

    def find(self, text: str) -> list[str] | None:
        """The values that one part of a value stands for; None if it names no file."""
        for name in dict.fromkeys((text, text.strip())):
            found = self._option(name) or self._file(name) or self._list(name)
            if found is None and self._takes_pictures:
                found = self._folder(name) or self._pattern(name)
            if found is not None:
                return found
        return None

    def option(self, name: str) -> Path | None:
        """The file of an option of the group; None: there is none, or the key is no group."""
        return self._options.get(name)

    def unknown(self, name: str) -> ConfigError:
        """The error for what is neither an option of the group nor a picture."""
        if self.key in PICTURE_GROUPS:
            return no_option(self.key, name, sorted(self._options))
        return ConfigError(self.key, name, f"no such file; give a picture file or {BUILTIN}NAME")

    @property
    def _takes_pictures(self) -> bool:
        return self.key in PICTURE_GROUPS or self.key in picture_keys()

    @cached_property
    def _options(self) -> dict[str, Path]:
        if self.key not in PICTURE_GROUPS:
            return {}
        places = [Path(place) / self.key for place in self.config_dirs]
        return {path.stem: path for place in places for path in place.glob("*.yaml")}

    def _at(self, name: str) -> str:
        """The path that a name means, as typed where the command was started."""
        whole = name.startswith("/") or PurePath(name).is_absolute() or in_a_home(name)
        return name if whole or not self.base else f"{self.base}/{name}"

    def _split(self, typed: str) -> list[Piece] | None:
        """The parts between commas, joined where that is the name of a file.

        Returns:
            None if one of them neither names a file nor can be read by Hydra.
        """
        parts, pieces, start = typed.split(","), [], 0
        while start < len(parts):
            for end in range(len(parts), start, -1):
                text = ",".join(parts[start:end])
                if (values := self.find(text)) is not None:
                    break
            else:
                if parse(f"key={escaped(text)}") is None:
                    return None
            pieces.append((escaped(text).strip(), values))
            start = end
        return pieces

    def _parsed(self, typed: str) -> list[Piece] | None:
        """The value, or each value of a choice, that Hydra reads.

        Returns:
            None if Hydra cannot read it; an empty list for other sweeps, such as ``glob(*)``.
        """
        override = parse(f"key={escaped(typed)}")
        if override is None:
            return None
        value = override.value()
        if not override.is_sweep_override():
            return [(override.get_value_element_as_str(), self._element(value))]
        if not isinstance(value, ChoiceSweep) or value.shuffle:
            return []
        found = zip(override.sweep_string_iterator(), value.list, strict=True)
        return [(text, self._element(element)) for text, element in found]

    def _element(self, element: Any) -> list[str] | None:
        """``find`` of a value as Hydra's parser returns it."""
        if isinstance(element, list):
            plain = [each.text if isinstance(each, QuotedString) else each for each in element]
            texts = ["null" if each is None else quoted(str(each)) for each in plain]
            return self._as_list([*zip(texts, map(self._element, plain), strict=True)])
        text = element.text if isinstance(element, QuotedString) else element
        return self.find(text) if isinstance(text, str) else None

    def _all_of(self, pieces: Iterable[Piece]) -> list[str]:
        return [value for piece in pieces for value in self._known(*piece)]

    def _known(self, text: str, values: list[str] | None) -> list[str]:
        """The values of a piece; its text if only the run can say whether there is such a file."""
        if values is not None:
            return values
        self._refuse_pattern(text)
        if self.key in PICTURE_GROUPS and text != "null":  # a region without style
            raise self.unknown(text)
        return [text]

    def _option(self, name: str) -> list[str] | None:
        file = self.option(name)
        if file is None:
            return None
        settings = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        given = {key: value for key, value in settings.items() if value is not None}
        if given.keys() != {"path"}:
            problem = f"sets more than {self.key}.path; a sweep takes it with other options only"
            raise ConfigError(self.key, name, problem)
        return [quoted(given["path"])]

    def _file(self, name: str) -> list[str] | None:
        if self._takes_pictures and re.fullmatch(rf"{BUILTIN}\w*", name):
            return [name]
        try:
            existing(self._at(name))
        except ValueError:
            return None
        return [_value(self._at(name))]

    def _list(self, text: str) -> list[str] | None:
        """A list of files, as one value."""
        in_brackets = text.startswith("[") and text.endswith("]")
        return self._as_list(self._split(text[1:-1])) if in_brackets else None

    def _as_list(self, pieces: Sequence[Piece] | None) -> list[str] | None:
        if pieces is None or all(values is None for _, values in pieces):
            return None
        return [f"[{','.join(self._all_of(pieces))}]"]

    def _folder(self, name: str) -> list[str] | None:
        place = folder(self._at(name)) if name else None
        if place is None:
            return None
        from nst.images.decode import FORMATS

        try:
            found = _pictures(files_in(place))
        except OSError as error:
            raise ConfigError(self.key, name, f"cannot be read ({error.strerror})") from error
        if not found:
            problem = f"no picture in this folder; allowed: {listed(FORMATS)}"
            raise ConfigError(self.key, name, problem)
        return [_value(_unlike_others(path)) for path in found]

    def _pattern(self, text: str) -> list[str] | None:
        is_list = text.startswith("[") and parse(f"key={escaped(text)}") is not None
        if is_list or not _is_pattern(text):
            return None
        files = matching(self._at(text))
        return [_value(_unlike_others(path)) for path in _pictures(files) or files] or None

    def _refuse_pattern(self, text: str) -> None:
        if self._takes_pictures and _is_pattern(text) and "${" not in text:  # of OmegaConf
            problem = "no such file, and as a pattern (*, ?, [abc], **) it matches none"
            raise ConfigError(self.key, text, problem)


def no_option(group: str, name: str, options: Iterable[str]) -> ConfigError:
    """The error for what is neither an option of a group of pictures nor a picture."""
    near = nearest(name, options)
    hint = f" (did you mean {near}?)" if near else ""
    pictures = f"or a picture: a file, folder, pattern or {BUILTIN}NAME"
    return ConfigError(
        group, name, f"no such option or file{hint}; allowed: {listed(options)}, {pictures}"
    )


def _value(path: str) -> str:
    """A path as Hydra's grammar has it."""
    return quoted("./???" if path == "???" else escaped(path))


def _unlike_others(path: Path) -> str:
    """A path that nothing reads as the name of a home folder or of a built-in picture."""
    return f"./{path}" if str(path).startswith(("~", BUILTIN)) else str(path)


def _is_pattern(text: str) -> bool:
    """Whether a text that is no file is a pattern; ``???`` is OmegaConf's mark for no value."""
    return text != "???" and bool(re.search(r"(?s)[*?]|.\[.*\]", text))


def _pictures(files: Iterable[Path]) -> list[Path]:
    """Those with the suffix of a picture."""
    from nst.images.decode import suffixes  # seconds to import

    known = suffixes()
    return [path for path in files if path.suffix.lower() in known]
