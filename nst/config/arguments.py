"""Arguments of the command line, as overrides that Hydra reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from nst.config.compose import conf_dir
from nst.config.keys import PICTURE_GROUPS, file_keys
from nst.config.named_files import NamedFiles
from nst.utils.files import escaped

_OVERRIDE = re.compile(r"(?P<prefix>\+{0,2})(?P<key>[^=+~-][^=]*)=(?P<value>.*)", re.DOTALL)


def for_hydra(argument: str, config_dirs: Sequence[str] = (), base: str = "") -> str:
    """An argument with the files that it names, as Hydra reads it.

    Only keys that take a file (``keys.file_keys``) and groups that take a picture
    (``keys.PICTURE_GROUPS``) name files: as they are, by a pattern or by a folder. What names none
    stays as it is. Bytes that are not UTF-8 are escaped, except in names of folders.

    Args:
        argument: as typed.
        config_dirs: folders with config groups beside ``conf/``.
        base: folder that relative paths start from; empty: the current one.

    Raises:
        ConfigError: for a pattern that matches nothing, a folder without pictures, or a picture
            beside what is neither a picture nor an option.
    """
    match = _OVERRIDE.fullmatch(argument)
    if match is None or match["key"] == "outputs" or match["key"].startswith("hydra"):
        return argument
    key, typed = match["key"], match["value"]
    plain = escaped(argument)
    if key not in file_keys() and key not in PICTURE_GROUPS:
        return plain
    names = NamedFiles(key, (conf_dir(), *config_dirs), base)
    if all(names.option(each.strip()) for each in typed.split(",")):
        return plain
    values = names.values(typed)
    if values is None:
        return plain
    target = f"{key}.path" if key in PICTURE_GROUPS else key
    return f"{match['prefix']}{target}={','.join(values)}"


def config_dirs(arguments: Sequence[str]) -> list[str]:
    """The folders with configs that a command line adds: ``--config-dir`` or ``-cd``."""
    return list(_config_dirs(arguments))


def _config_dirs(arguments: Sequence[str]) -> Iterator[str]:
    following = iter(arguments)
    for argument in following:
        flag, equals, value = argument.partition("=")
        if flag in ("--config-dir", "-cd"):
            yield value if equals else next(following, "")
