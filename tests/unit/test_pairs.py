"""Tables of pairs: rows as overrides, and what is wrong with a table in one line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from nst.config import pairs
from nst.sweeps.job_list import expected_jobs, job_list
from nst.utils.errors import ConfigError

HERE = "my tables"
TABLE = f"{HERE}/pairs, 1.csv"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    Path(HERE, "in").mkdir(parents=True)
    for name in ("a.png", "b, c.png", "фото.png", "in/1.png", "in/2.png", "'q' \"r\".png"):
        Path(HERE, name).touch()
    Path("home.png").touch()


def _write(text: str | bytes) -> None:
    data = text.encode() if isinstance(text, str) else text
    Path(TABLE).write_bytes(data)


def _rows(text: str | bytes) -> list[dict[str, Any]]:
    _write(text)
    return [_plain(row.overrides) for row in pairs.rows(TABLE)]


def _plain(overrides: Sequence[str]) -> dict[str, Any]:
    """Keys and values as Hydra reads them."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return {each.get_key_element(): each.value() for each in parsed}


def test_rows() -> None:
    """Paths are relative to the table; an empty cell sets nothing."""
    found = _rows(
        "content,style,seed,weights.style,+trainer.x\n"
        "a.png,brick,1,1e5,\n"
        '"b, c.png",фото.png,,,2\n'
        "builtin:coffee,~/home.png,,,\n"
        f"{Path('home.png').resolve()},../home.png,,,\n"
        "blend,in/*2*,,,\n"
        '"\'q\' ""r"".png","[a.png,waves]",,,\n'
    )
    assert found == [
        {"content.path": f"{HERE}/a.png", "style": "brick", "seed": 1, "weights.style": 1e5},
        {"content.path": f"{HERE}/b, c.png", "style.path": f"{HERE}/фото.png", "+trainer.x": 2},
        {"content.path": "builtin:coffee", "style.path": "~/home.png"},
        {"content.path": str(Path("home.png").resolve()), "style.path": f"{HERE}/../home.png"},
        {"content": "blend", "style.path": f"{HERE}/in/2.png"},
        {
            "content.path": f"{HERE}/'q' \"r\".png",
            "style.path": [f"{HERE}/a.png", "builtin:waves"],
        },
    ]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffcontent,style\na.png,waves\n",
        "content,style\r\na.png,waves",
        " style , content \n\n waves , a.png \n,\n",
        'content.path,style,\n"a.png",waves,\n',
    ],
    ids=["byte order mark", "Windows", "spaces and empty rows", "path and an empty column"],
)
def test_dialects(text: str) -> None:
    assert _rows(text) == [{"content.path": f"{HERE}/a.png", "style": "waves"}]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "row 1: no column content; the first row names the columns: content,style"),
        ("content,seed\na.png,1", "row 1: no column style; "),
        ("content;style\na.png;waves", "row 1: no column content; "),
        ("content,style,content.path\n", "row 1: two columns set content"),
        ("content,style\n\n ,\n", "has no rows below its header"),
        ("content,style\na.png,waves\na.png,\n", "row 3: style=: must not be empty"),
        ("content,style\na.png\n", "row 2: style=: must not be empty"),
        ("content,style\n\nnone.png,waves\n", "row 3: content=none.png: no such option or file"),
        ("content,style\na.png,wavs\n", "row 2: style=wavs: no such option or file (did you mean"),
        ("content.path,style\nchelsea,waves", "row 2: content.path=chelsea: no such file"),
        ("content,style,init.path\na.png,waves,no\n", "row 2: init.path=no: no such file"),
        ("content,style\nin/*,waves\n", "row 2: content=in/*: stands for several values"),
        ("content,style\nnone*,waves\n", "row 2: content=none*: no such file, and as a pattern"),
        ("content,style\na.png,waves,5\n", "row 2: no column=5: a cell with a comma needs double"),
        ("content,style,seed\na.png,waves,'1,2'", "row 2: no column=2': a cell with a comma"),
        ('content,style,seed\na.png,waves,"1,2"', "row 2: seed=1,2: stands for several values"),
        ("content,style,seed\na.png,waves,[1", "row 2: seed=[1: the brackets do not match"),
        ("content,style,hydra.verbose\na.png,waves,true", "row 2: hydra.verbose=true: Hydra's own"),
        ('content,style\n"a.png"x,waves', "line 2: ',' expected after '\"'"),
        (b"content,style\ncaf\xe9.png,waves", "is not UTF-8; save it as CSV in UTF-8"),
        ("content,style\n".encode("utf-16"), "is not UTF-8"),
    ],
)
def test_what_is_wrong(text: str | bytes, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(f'pairs={TABLE}: {problem}')}"):
        _rows(text)


@pytest.mark.parametrize("name", ["none.csv", "my tables", ""])
def test_what_is_no_table(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^pairs={name}: (no such file|is a folder)"):
        pairs.rows(name)


def _config(typed: list[str], params: dict[str, str] | None = None) -> Any:
    """What of a composed config says which jobs a sweep has."""
    target = "hydra_plugins.nst_pairs.PairsSweeper"
    hydra = SimpleNamespace(
        sweeper=SimpleNamespace(_target_=target, params=params),
        overrides=SimpleNamespace(task=OmegaConf.create(typed)),
        runtime=SimpleNamespace(config_sources=[]),
    )
    return SimpleNamespace(hydra=hydra)


def test_rows_times_other_values() -> None:
    _write("content,style,seed\na.png,waves,1\ncoffee,brick,\n")
    config = _config(["init=noise,content", f'pairs="{TABLE}"', "steps=1"])
    found = job_list(config)
    rows: list[dict[str, Any]] = [
        {"content.path": f"{HERE}/a.png", "style": "waves", "seed": 1},
        {"content": "coffee", "style": "brick"},
    ]
    assert [*map(_plain, found.jobs)] == [
        {**row, "init": init, "steps": 1} for row in rows for init in ("noise", "content")
    ]
    assert expected_jobs(config) == found.jobs
    made_of = [found.row(job) for job in found.jobs]
    assert [row and row.number for row in made_of] == [2, 2, 3, 3]


def test_several_tables() -> None:
    _write("content,style\na.png,waves\n")
    Path("two.csv").write_text("content,style\ncoffee,brick\n")
    found = job_list(_config([f'pairs="{TABLE}",two.csv']))
    assert [*map(_plain, found.jobs)] == [
        {"content.path": f"{HERE}/a.png", "style": "waves"},
        {"content": "coffee", "style": "brick"},
    ]


@pytest.mark.parametrize(
    ("params", "typed", "expected"),
    [
        # as in Hydra's sweeper, a key that both set keeps its place
        ({"seed": "0", "init": "a,b"}, ["seed=1"], ["seed=1 init=a", "seed=1 init=b"]),
        ({"content": "a,b", "seed": "0"}, ["content.path=x"], ["seed=0 content.path=x"]),
        ({"style.path": "a,b"}, ["style=brick"], ["style=brick"]),
        ({"content": "(1)/*"}, [], ['content.path="(1)/1.png"', 'content.path="(1)/2.png"']),
        ({"pair": "a,b", "style": "c,d"}, ["pairs=two.csv"], ["content=coffee style=brick"]),
        ({"pairs": "two.csv"}, ["seed=1"], ["content=coffee style=brick seed=1"]),
        ({"pairs": "two.csv"}, ["pairs=null", "seed=0"], ["seed=0"]),
        ({"pair": "a,b"}, ["content.path=x"], ["pair=a content.path=x", "pair=b content.path=x"]),
    ],
)  # fmt: skip
def test_the_command_line_replaces_what_an_experiment_sweeps(
    params: dict[str, str], typed: list[str], expected: list[str]
) -> None:
    Path("two.csv").write_text("content,style\ncoffee,brick\n")
    Path("(1)").mkdir()
    for name in ("1.png", "2.png"):
        Path("(1)", name).touch()
    assert [" ".join(job) for job in job_list(_config(typed, params)).jobs] == expected


@pytest.mark.parametrize("typed", ["style=waves", "style.path=a.png,b.png", "seed=0"])
def test_a_column_that_is_set_twice(typed: str) -> None:
    Path("two.csv").write_text("content,style,seed\ncoffee,brick,1\n")
    key = typed.split("=", maxsplit=1)[0].removesuffix(".path")
    problem = f"pairs=two.csv: its column {key} is set by {typed} as well; omit one of them"
    with pytest.raises(ConfigError, match=f"^{re.escape(problem)}$"):
        job_list(_config([typed, "pairs=two.csv"]))
