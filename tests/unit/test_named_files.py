"""Pictures named by themselves, by patterns, folders and options; any names."""

from __future__ import annotations

import contextlib
import csv
import errno
import os
import random
import re
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from nst.config import pairs
from nst.config.arguments import config_dirs, for_hydra
from nst.images.decode import suffixes
from nst.utils.errors import ConfigError
from nst.utils.files import escaped, existing
from nst.utils.text import natural

HOSTILE = [
    "- dash.png",
    "=a=b.png",
    "a, b.png",
    "[x] y.png",
    'it\'s "q".png',
    "${seed}.png",
    "{a: b}.png",
    "~home.png",
    "builtin:waves.png",
    "new\nline.png",
    "фото \u202e.PNG",
    "写真🎨e\u0301.png",
    "\\.png",
    os.fsdecode(b"caf\xe9.png"),
]
"""Names of pictures that something would read as something else."""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def _read(argument: str) -> tuple[str, list[Any]]:
    """The key and the value of each job that Hydra reads in an argument."""
    parse = OverridesParser.create().parse_override
    override = parse(argument)
    if not override.is_sweep_override():
        return override.key_or_group, [override.value()]
    texts = override.sweep_string_iterator()  # Hydra writes them anew for each job
    return override.key_or_group, [parse(f"key={text}").value() for text in texts]


def _paths(argument: str) -> list[Any]:
    """The path in the config of each job."""
    key, values = _read(for_hydra(argument))
    assert key == "content.path"
    container: Any = OmegaConf.to_container(OmegaConf.create(values), resolve=True)
    return list(container)


@pytest.mark.parametrize(
    ("argument", "key", "values"),
    [
        ("content=one.png", "content.path", ["one.png"]),
        ("++content=one.png", "content.path", ["one.png"]),
        ("content=builtin:coffee", "content.path", ["builtin:coffee"]),
        ("content=o*.png", "content.path", ["one.png"]),
        ("content=o[mn]e.???", "content.path", ["one.png"]),
        ("init.path=o*", "init.path", ["one.png"]),
        # an option wins over a file, and stays an option beside options
        ("style=brick", "style", ["brick"]),
        ("style=brick, waves", "style", ["brick", "waves"]),
        ("style=brik", "style", ["brik"]),
        ("style=null", "style", [None]),
        # beside pictures it is one
        ("style=brick,one.png", "style.path", ["builtin:brick", "one.png"]),
        ("style=one.png, a, b.png,brick", "style.path", ["one.png", "a, b.png", "builtin:brick"]),
        ("style=choice(brick,one.png)", "style.path", ["builtin:brick", "one.png"]),
        ("style='a, b.png',brick", "style.path", ["a, b.png", "builtin:brick"]),
        # a list is one value
        ("style=[waves,mosaic]", "style.path", [["builtin:waves", "builtin:mosaic"]]),
        ("style=[a, b.png,one.png]", "style.path", [["a, b.png", "one.png"]]),
        ("style=['a, b.png',one.png]", "style.path", [["a, b.png", "one.png"]]),
        ("style=[brick,null]", "style.path", [["builtin:brick", None]]),
        ("style=['a, b.png',null]", "style.path", [["a, b.png", None]]),
        ("guidance.style=[a, b.png,no]", "guidance.style", [["a, b.png", "no"]]),
        ("style=[p1/*.png]", "style.path", [["p1/2.png", "p1/10.png"]]),
        ("style.path=[one.png],[no,a, b.png]", "style.path", [["one.png"], ["no", "a, b.png"]]),
        # patterns and folders
        ("content=p1/*.png", "content.path", ["p1/2.png", "p1/10.png"]),
        ("content.path=p1/*", "content.path", ["p1/2.png", "p1/3.JPG", "p1/10.png"]),
        ("content=p1", "content.path", ["p1/2.png", "p1/3.JPG", "p1/10.png"]),
        ("content=p1/", "content.path", ["p1/2.png", "p1/3.JPG", "p1/10.png"]),
        ("content=p1/*.txt", "content.path", ["p1/notes.txt"]),
        ("content=p [2]/*.png,one.png", "content.path", ["p [2]/a,b.png", "one.png"]),
        ("content=p [2]", "content.path", ["p [2]/a,b.png"]),
        ("content=p1/**/*.png", "content.path", ["p1/2.png", "p1/10.png", "p1/in/1.png"]),
        ("content=p*/**/?*b.png", "content.path", ["p [2]/a,b.png"]),
        # not files
        ("content.path=???", "content.path", ["???"]),
        ("content.path=none.png", "content.path", ["none.png"]),
        ("content.path=none.png,one.png", "content.path", ["none.png", "one.png"]),
        ("style.path=${content.path}", "style.path", ["${content.path}"]),
        ("seed=*", "seed", ["*"]),
    ],
)  # fmt: skip
def test_what_an_argument_names(argument: str, key: str, values: list[object]) -> None:
    _touch("one.png", "a, b.png", "brick", "p1/10.png", "p1/2.png", "p1/3.JPG", "p1/notes.txt")
    _touch("p1/.hidden.png", "p1/in/1.png", "p [2]/a,b.png")
    assert _read(for_hydra(argument)) == (key, values)


@pytest.mark.parametrize(
    "argument",
    [
        "style=brik",
        "style=[brick",
        "style=glob(*)",
        "style=shuffle(brick,waves)",
        "style=",
        "content=none.png",
    ],
)
def test_hydra_answers_for_what_names_no_picture(argument: str) -> None:
    _touch("brick", "brik.png")
    assert for_hydra(argument) == argument


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("content=none/*.png", "content=none/*.png: no such file, and as a pattern"),
        ("content=p(1)*", "content=p(1)*: no such file, and as a pattern"),
        ("content.path=one.png,none*", "content.path=none*: no such file, and as a pattern"),
        ("style=[brick,none*]", "style=none*: no such file, and as a pattern"),
        ("init.path=[x] none?.png", "init.path=[x] none?.png: no such file, and as a pattern"),
        ("content=empty", "content=empty: no picture in this folder; allowed: JPEG, "),
        ("style=brik,one.png", "style=brik: no such option or file (did you mean brick?); allowed"),
        ("style=[brick,none.png]", "style=none.png: no such option or file; allowed: brick, "),
        ("style=[none,nothing]", "style=[none,nothing]: no such option or file; allowed: "),
        ("content=blend,one.png", "content=blend: sets more than content.path"),
    ],
)
def test_what_names_nothing(argument: str, message: str) -> None:
    _touch("one.png", "empty/notes.txt", "empty/.hidden.png")
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        for_hydra(argument)


@pytest.mark.parametrize("place", ["", "a, [b] ${c}/", "~/", "-x=1/"])
def test_hostile_names(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one, in a sweep, by a folder and by patterns."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = Path(place.replace("~", "home"))
    folder.mkdir(exist_ok=True)
    for name in HOSTILE:
        (folder / name).touch()
    files = {folder.resolve() / name for name in HOSTILE}
    for value in (place or ".", f"{place}*", f"{place}*.[pP]*"):
        found = _paths(f"content={value}")
        assert {existing(path).resolve() for path in found} == files
        assert len(found) == len(files)
    typed = [f"{place}{name}" for name in HOSTILE]
    assert _paths(f"content={','.join(typed)}") == [escaped(name) for name in typed]
    for name in typed:
        assert _paths(f"content={name}") == [escaped(name)]


def test_a_folder_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    _touch("closed/x.png")
    error = PermissionError(errno.EACCES, "Permission denied")
    monkeypatch.setattr(Path, "iterdir", Mock(side_effect=error))  # root may read everything
    with pytest.raises(
        ConfigError, match=r"^content=closed: cannot be read \(Permission denied\)$"
    ):
        for_hydra("content=closed")


def test_names_that_mean_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder ``~``, and a file with the name of a built-in picture, are found by a pattern."""
    monkeypatch.setenv("HOME", str(Path("home").resolve()))
    _touch("~/x.png", "home/x.png", "builtin:waves")
    assert _paths("content=*/x.png") == ["home/x.png", "./~/x.png"]
    assert _paths("content=built*") == ["./builtin:waves"]
    assert existing("./~/x.png") == Path("~/x.png").resolve()
    assert _paths("content=./~") == ["./~/x.png"]
    assert _paths("content=~") == [str(Path("home/x.png").resolve())]
    assert _paths("content=~/x.png") == ["~/x.png"]
    assert _paths("content=builtin:waves") == ["builtin:waves"]


NAMES = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=40)


@settings(deadline=None)  # the first one imports the decoder
@given(NAMES)
@example("???")
@example("${")
@example("~")
def test_any_name_survives(name: str) -> None:
    """As typed, beside another, in a list, by a pattern, by a folder and in a table."""
    assume(not name.startswith(".") and not name.strip().startswith("builtin:"))
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        _touch(name, f"in/{name}.png", "in/other.png")
        written = "./???" if name == "???" else name
        assert _paths(f"content={name}") == [written]
        assert _paths(f"content=builtin:coffee,{name}") == ["builtin:coffee", written]
        assert _paths(f"content=[in/{name}.png]") == [[f"in/{name}.png"]]
        both = {"in/other.png", f"in/{name}.png"}
        for value in ("in", "in/*", f"in/{name}.png,in/other.png"):
            assert set(_paths(f"content={value}")) == both
        with Path("in/table.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("content", "style"), (f"{name}.png", "brick")])
        (row,) = pairs.rows("in/table.csv")
        assert _paths(row.overrides[0]) == [f"in/{name}.png"]


@given(st.lists(NAMES, min_size=1), st.randoms())
def test_the_order_is_the_same_everywhere(names: list[str], rng: random.Random) -> None:
    shuffled = rng.sample(names, len(names))
    assert sorted(shuffled, key=natural) == sorted(names, key=natural)


def test_natural_order() -> None:
    names = ["1.jpg", "a 9.jpg", "A 10.jpg", "b.jpg", "é 2.jpg", "e\u0301 10.jpg"]
    assert sorted(reversed(names), key=natural) == names


def test_suffixes() -> None:
    """Of every format."""
    for suffix in (
        "jpg",
        "jpeg",
        "png",
        "webp",
        "tif",
        "tiff",
        "gif",
        "bmp",
        "avif",
        "jp2",
        "heic",
    ):
        assert f".{suffix}" in suffixes()
    assert not suffixes() & {".pdf", ".eps", ".ico", ".psd", ".txt", ""}


def test_options_of_other_folders() -> None:
    """An option wins over a file also where ``--config-dir`` adds it."""
    _touch("mine", "one.png")
    Path("conf/style").mkdir(parents=True)
    Path("conf/style/mine.yaml").write_text("path: a (1).png\nsize: null\n")
    for words in (["--config-dir", "conf"], ["--config-dir=conf"], ["-cd", "conf"]):
        assert config_dirs(["-m", *words, "seed=0"]) == ["conf"]
    assert for_hydra("style=mine", ["conf"]) == "style=mine"
    assert for_hydra("style=mine,one.png", ["conf"]) == 'style.path="a (1).png",one.png'
    assert for_hydra("style=mine") == "style.path=mine"
