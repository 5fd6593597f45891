"""File names with any characters: on the command line, in records, in messages."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from PIL import Image

from nst.cli import main, report
from nst.config.arguments import for_hydra
from nst.config.keys import file_keys, picture_keys
from nst.config.overrides import quoted
from nst.runner.loggers import as_dictconfig, stored
from nst.runner.record import read_config, read_facts
from tests.helpers import config

TINY = ("image.size=16", "steps=1", "logger=none")

NAMES = [
    "plain.png",
    "фото.png",
    "写真🎨e\u0301\u202e.png",
    "photo (1).png",
    "[x] y.png",
    "it's.png",
    "a,b.png",
    "a=b.png",
    "a:b.png",
    "#1 {a: b}.png",
    " lead and trail ",
    "tab\tnew\nline.png",
    "~no_such_user.png",
    'say "hi" \\" it\'s\\\\',
    "\\",
    "\\(x\\).png",
    "${steps}.png",
    "a${.png",
    "\\${steps}.png",
    "\\\\${oc.env:HOME}$.png",
    "choice(a,b)",
    "007",
    "1_000",
    "1e3",
    "null",
    "True",
]
"""Names of files; some of them Hydra or OmegaConf would read as something else."""

BYTES = os.fsdecode(b"caf\xe9, 2.png")  # ISO 8859-1
ESCAPED = r"caf\xe9, 2.png"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["nst"])


@pytest.fixture
def _composed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra composes everything twice, at first only to learn its mode."""
    monkeypatch.setattr("hydra._internal.hydra.Hydra.get_mode", lambda *_, **__: None)


def _pictures(*names: str) -> None:
    for seed, name in enumerate(names):
        pixels = np.random.default_rng(seed).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(name, format="PNG")


def test_keys_that_take_a_file() -> None:
    """``backbone.source`` is the name of an option."""
    blend = {"content.source", "content.target", "content.mask"}
    masks = {"guidance.content", "guidance.style"}
    pictures = {"content.path", "style.path", "init.path", *blend, *masks}
    assert picture_keys() == pictures
    assert file_keys() == {*pictures, "backbone.path", "pairs"}


@pytest.mark.parametrize("first", range(0, len(NAMES), 4))
def test_an_existing_file_is_taken_as_typed(first: int) -> None:
    keys = ("content.path", "style.path", "++init.path", "+backbone.path")
    named = dict(zip(keys, NAMES[first : first + 4], strict=False))
    for name in named.values():
        Path(name).touch()
    found = config(*(for_hydra(f"{key}={name}") for key, name in named.items()))
    # and so it is in config.yaml
    text = OmegaConf.to_yaml(as_dictconfig(found), resolve=True)
    for node in (found.asdict(), yaml.safe_load(text)):
        for key, name in named.items():
            group, field = key.lstrip("+").split(".")
            assert node[group][field] == name


def test_a_name_that_is_not_utf8_is_escaped_where_it_is_stored() -> None:
    """Also in what a logger takes from the config, and beside what OmegaConf would resolve."""
    found = config("content.path=photo.jpg", "style.path=painting.jpg", "logger=csv")
    found.content.path = "\udce9${a}"
    found.logger["csv"]["save_dir"] = "${content.path}"
    node = OmegaConf.to_container(stored(found), resolve=True)
    assert isinstance(node, dict)
    for path in (node["content"]["path"], node["logger"]["csv"]["save_dir"]):
        assert path == "\\xe9${a}"
    assert OmegaConf.to_yaml(stored(found), resolve=True).encode()


@settings(max_examples=40, deadline=None)
@given(st.text(st.sampled_from("\\\"'${}[](),:=~#%?*! \t\naé1ф\U0001f3a8"), min_size=1))
def test_any_text_can_be_quoted(text: str) -> None:
    assume(text != "???")  # OmegaConf's mark for what is missing, which cannot be escaped
    parse = OverridesParser.create().parse_override
    value = parse(f"key={quoted(text)}").value()
    assert OmegaConf.create({"key": value}).key == text
    swept = parse(f"key={quoted(text)},{quoted(text)}").sweep_string_iterator()
    value = parse(f"key={next(swept)}").value()  # Hydra writes it anew for each job
    assert OmegaConf.create({"key": value}).key == text


@pytest.mark.parametrize(
    "argument",
    [
        "seed=0",
        "init=noise",
        "+experiments=weights",
        "content=chelsea",
        "backbone.source=file",  # the name of an option, not of a file
        "outputs=фото.png",
        "content.path=plain.png",
        "content.path=builtin:chelsea",
        "content.path='missing.png'",
        "content.path=plain.png,builtin:chelsea",
        "content.path=choice(plain.png,фото.png)",
        "backbone.path=folder (1)",
        "~content.path=фото.png",
        "hydra.sweep.dir=фото.png",
        "--config-dir=фото.png",
        "фото.png",
    ],
)
def test_other_arguments_stay_as_they_are(argument: str) -> None:
    for name in ("0", "noise", "weights", "chelsea", "file", "plain.png", "фото.png"):
        Path(name).touch()
    Path("folder (1)").mkdir()
    assert for_hydra(argument) == argument


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("фото.png,photo (1).png", ["фото.png", "photo (1).png"]),
        ("фото.png, photo (1).png", ["фото.png", "photo (1).png"]),
        ("builtin:chelsea,фото.png", ["builtin:chelsea", "фото.png"]),
        ("${steps}.png,1_000", ["${steps}.png", "1_000"]),
        ("фото.png,1_000,фото.png,photo (1).png,b", ["фото.png,1_000,фото.png,photo (1).png,b"]),
    ],
)
def test_commas_are_hydras_unless_the_whole_is_a_file(values: str, expected: list[str]) -> None:
    for name in expected:
        Path(name).touch()
    override = OverridesParser.create().parse_override(for_hydra(f"content.path={values}"))
    texts = (
        [str(each) for each in override.sweep_string_iterator()]
        if override.is_sweep_override()
        else []
    )
    found = [OverridesParser.create().parse_override(f"key={text}") for text in texts] or [override]
    assert [OmegaConf.create([each.value()])[0] for each in found] == expected


def test_home_folder() -> None:
    """``~`` stays in the record; HOME is the current folder here."""
    _pictures("x.png", "~x.png")
    for name in ("~/x.png", "~x.png"):
        assert for_hydra(f"style.path={name}") == f'style.path="{name}"'


@pytest.mark.usefixtures("_composed_once")
def test_sweep_over_hostile_names(capfd: pytest.CaptureFixture[str]) -> None:
    names = ["[x] it's.png", "фото ${steps}.png"]
    _pictures(*names, BYTES)
    arguments = [
        "-m",
        *TINY,
        "init=noise",
        f"style.path={BYTES}",
        f"content.path={','.join(names)}",
    ]
    assert main.invoke(arguments) == 0
    folders = [Path(line) for line in capfd.readouterr().out.splitlines()[-2:]]
    sweep = next(Path("outputs/sweeps").iterdir())
    assert Image.open(sweep / "side_by_side.png").width > 16
    declared = json.loads((sweep / "jobs.json").read_text())["jobs"]
    for folder, name, job in zip(folders, names, declared, strict=True):
        assert read_facts(folder)["status"] == "completed"
        found = read_config(folder)
        assert (found["content"]["path"], found["style"]["path"]) == (name, ESCAPED)
        assert found["run"]["overrides"] == job
    again = config(*declared[1])  # the record repeats the job
    assert (again.content.path, again.style.path) == (names[1], ESCAPED)


@pytest.mark.usefixtures("_composed_once")
def test_names_that_are_not_utf_8(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a picture, and of the folder that all is in."""
    Path(os.fsdecode(b"r\xe9p")).mkdir()
    monkeypatch.chdir(os.fsdecode(b"r\xe9p"))
    _pictures(BYTES)
    arguments = [*TINY, "init=noise", "steps=3", "task=content_reconstruction"]
    cut = ["checkpoint_seconds=0", "+trainer.max_steps=2"]
    assert main.invoke([*arguments, *cut, f"content.path={BYTES}"]) == 1
    assert list(Path("outputs/runs").glob("*/checkpoint.pt"))
    assert main.invoke([*arguments, f"content.path={BYTES}"]) == 0
    out = capfd.readouterr().out
    folder = Path(out.splitlines()[-1])
    found = read_config(folder)
    assert found["content"]["path"] == ESCAPED
    assert found["outputs"].endswith(r"/r\xe9p/outputs")
    kept = np.asarray(Image.open(folder / "inputs/content.png"))
    np.testing.assert_array_equal(kept, np.asarray(Image.open(BYTES)))
    for path in filter(Path.is_file, Path("outputs").rglob("*")):
        assert not re.search(rb"\\u[dD][cC]|\xe9, 2", path.read_bytes()), path
    # what was typed, and the name as it was recorded, are the same run
    for typed in (BYTES, f"'{ESCAPED}'"):
        assert main.invoke([*arguments, f"content.path={typed}"]) == 0
        out, err = capfd.readouterr()
        assert "already finished" in err
        assert Path(out.splitlines()[-1]) == folder
    assert report.report(["compare", f"content={BYTES}"]) == 0
    assert r"caf\\xe9, 2" in Path("outputs/compare/runs.js").read_text()


def test_a_report_in_folders_with_any_name(capfd: pytest.CaptureFixture[str]) -> None:
    _pictures("фото (1).png")
    Path("мои, [x]/experiments").mkdir(parents=True)
    Path("мои, [x]/experiments/own.yaml").write_text(
        "# @package _global_\n"
        "experiment: {name: own, section: '1', rows: [seed]}\n"
        "hydra: {mode: MULTIRUN, sweeper: {params: {seed: '0'}}}\n"
    )
    arguments = ["--run", "own", *TINY, "init=noise", "content.path=фото (1).png"]
    arguments += ["--config-dir", "мои, [x]", "--outputs", "the 'report', ${x}"]
    assert report.report(arguments) == 0
    out, err = capfd.readouterr()
    assert "1 completed" in err
    assert Path(out.splitlines()[-1]).is_file()
    commands = (Path("the 'report', ${x}") / "report/numbers.csv").read_text()
    assert 'content.path=""фото (1).png""' in commands


def test_folders_that_are_not_utf_8_are_printed_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    monkeypatch.setattr(sys, "stdout", out)
    main.print_any_path()
    print(os.fsdecode(b"caf\xe9"), flush=True)
    assert out.buffer.getvalue() == b"caf\xe9\n"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "content.path=my (photo",
            "content.path=my (photo: no such file, and the text cannot be parsed; "
            "to pass it as text, quote it: 'content.path=\"my (photo\"'",
        ),
        (
            "layers.style=[conv1_1",
            "layers.style=[conv1_1: the brackets do not match; allowed: 'layers.style=[conv1_1]'",
        ),
        (
            "outputs=a (1,мои",
            "outputs=a (1,мои: cannot be parsed; to pass it as text, quote it: "
            '\'outputs="a (1,мои"\', or each value of a sweep: \'outputs="a (1","мои"\'',
        ),
        ("layers.style=[conv1_1]]", "'layers.style=[conv1_1]'"),
        ("+trainer.x={a:[1,2}", "'+trainer.x={a:[1,2]}'"),
        ("content.path=it's", "'content.path=\"it'\"'\"'s\"'"),
        ("outputs=${oc.env:HOME}/a (1)", "'outputs=\"${oc.env:HOME}/a (1)\"'"),
        ("outputs=a${", "'outputs=\"a\\${\"'"),
        ("steps=foo(1)", "steps=foo(1): cannot be parsed (Unknown function 'foo'"),
        ("outputs=a\x1b(", "$'outputs=\"a\\x1b(\"'"),
        ("~task=(", "'~task=\"(\"'"),
    ],
)
def test_what_hydra_cannot_parse(
    override: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main.invoke([*TINY, override]) == 2
    line = capfd.readouterr().err.removesuffix("\n")
    key = override.partition("=")[0].lstrip("+~")
    assert line.startswith(f"nst: {key}=")
    assert line.isprintable()
    assert message in line
    for suggested in re.findall(r"(?:allowed|quote it|sweep): (.+?)(?:, or each|$)", line):
        if suggested.startswith("$"):
            continue  # of Bash, which Python does not read
        (typed,) = shlex.split(suggested)
        parsed = OverridesParser.create().parse_override(typed)
        if not parsed.is_sweep_override():
            assert OmegaConf.create({"value": parsed.value()})
