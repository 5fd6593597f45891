"""Hydra's grammar: quoting, parsing, and advice for what it cannot parse."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from functools import cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nst.config.keys import PICTURE_GROUPS, file_keys
from nst.utils.errors import ConfigError, printable

_PAIRS = {"[": "]", "{": "}", "(": ")"}


def quoted(text: str) -> str:
    """Text as a value that Hydra reads as this text: in quotes where they are needed."""
    override = _read(text)
    # a backslash could escape the comma after it, and ${ begins an interpolation
    if override is not None and override.value() == text and not re.search(r"\\|\$\{", text):
        return text
    return _in_quotes(literal(text))


def literal(value: Any) -> Any:
    """A value with ``${`` escaped in every text, also in dicts and lists, for OmegaConf."""
    return on_texts(_without_interpolations, value)


def _without_interpolations(text: str) -> str:
    return re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + r"\${", text)


def on_texts(change: Callable[[str], str], value: Any) -> Any:
    """Applies a function to every text in a value, also in dicts and lists."""
    if isinstance(value, dict):
        return {key: on_texts(change, each) for key, each in value.items()}
    if isinstance(value, list):
        return [on_texts(change, each) for each in value]
    return change(value) if isinstance(value, str) else value


def number(text: str) -> int | float | str:
    """The number that a text is, else the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def refusal(error: OverrideParseException) -> str:
    """Why Hydra cannot parse an override, and an override that it can, quoted for a shell."""
    prefix, equals, value = error.override.partition("=")
    if not equals:
        return f"{error.override!r}: an override has the form KEY=VALUE"
    key = prefix.lstrip("+~")
    if _read("", prefix) is None:
        return str(ConfigError(key, value, "no such key; nst --cfg job shows all keys"))
    closed = f"{prefix}={_closed(value)}"
    if _accepted(closed):
        return str(ConfigError(key, value, f"the brackets do not match; allowed: {_shell(closed)}"))
    reason = str(error.__cause__).splitlines()[:1]  # only of functions
    problem = " ".join(["cannot be parsed", *(f"({text})" for text in reason if error.__cause__)])
    if key in file_keys() or key in PICTURE_GROUPS:
        problem = f"no such file, and the text {problem}"
    problem += f"; to pass it as text, quote it: {_suggested(prefix, [value])}"
    if "," in value and error.__cause__ is None:
        problem += f", or each value of a sweep: {_suggested(prefix, value.split(','))}"
    return str(ConfigError(key, value, problem))


def _suggested(prefix: str, values: list[str]) -> str:
    """An override with these values in quotes, and ``${`` escaped only if OmegaConf rejects it."""
    plain = f"{prefix}={','.join(map(_in_quotes, values))}"
    return _shell(plain if _accepted(plain) else f"{prefix}={','.join(map(quoted, values))}")


def _accepted(text: str) -> bool:
    """Whether Hydra and OmegaConf accept an override."""
    prefix, _, value = text.partition("=")
    override = _read(value, prefix)
    try:
        return override is not None and OmegaConf.create({"value": text}) is not None
    except OmegaConfBaseException:
        return False


def _closed(value: str) -> str:
    """A list or dict with its brackets closed; any other value unchanged."""
    if value[:1] not in ("[", "{"):
        return value
    value, missing = value.rstrip("]}), "), ""
    for each in value:
        if each in _PAIRS:
            missing = _PAIRS[each] + missing
        elif missing.startswith(each):
            missing = missing[1:]
    return value + missing


def _in_quotes(text: str) -> str:
    return QuotedString(text, Quote.double).with_quotes()


def _shell(text: str) -> str:
    """Text as one word of a command line."""
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + printable(text.replace("\\", r"\\").replace("'", r"\'")) + "'"


def _read(value: str, key: str = "key") -> Override | None:
    """``key=value`` as Hydra's parser reads it; None if it cannot."""
    return parse(f"{key}={value}")


def parse(override: str) -> Override | None:
    """An override as Hydra's parser reads it; None if it cannot."""
    try:
        return _parser().parse_override(override)
    except (HydraException, RecursionError):
        return None


_parser = cache(OverridesParser.create)
