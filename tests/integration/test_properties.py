"""What holds for any config: it prepares or is refused in a line; it runs; its signature."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import yaml
from hydra.errors import HydraException
from hypothesis import given
from hypothesis import strategies as st
from omegaconf.errors import OmegaConfBaseException
from PIL import Image

from nst.config.compose import conf_dir
from nst.config.messages import exit_status, one_line
from nst.config.schema import INITS, LAYER_RULES, PRECISIONS, TASKS, Config
from nst.runner.record import COMPLETED, DIVERGED, read_facts
from nst.runner.signature import signature
from nst.transfer.run import Run
from nst.utils.errors import DivergedError, NstError
from nst.vgg import architecture
from tests.commands import LIMIT
from tests.examples import EXAMPLES, bounded
from tests.helpers import execute, prepared, resolved, slow

CONF = Path(conf_dir())
OPEN = ("optimizer", "trainer", "logger")
"""Groups whose keys the schema leaves open."""


def _leaves(schema: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of the schema that takes a value, with its type."""
    hints = get_type_hints(schema)
    for item in fields(schema):
        key, hint = f"{prefix}{item.name}", hints[item.name]
        if is_dataclass(hint):
            assert isinstance(hint, type)
            yield from _leaves(hint, f"{key}.")
        elif key not in OPEN:
            yield key, hint


def _groups() -> dict[str, list[str]]:
    """Every group of ``conf/`` with its options; experiments have to be added."""
    folders = [path for path in CONF.iterdir() if path.is_dir() and path.name != "hydra"]
    return {
        f"{'+' if path.name == 'experiments' else ''}{path.name}": sorted(
            option.stem for option in path.glob("*.yaml")
        )
        for path in sorted(folders)
        if list(path.glob("*.yaml"))
    }


def _open_keys() -> Iterator[str]:
    for group in OPEN:
        for path in sorted((CONF / group).glob("*.yaml")):
            for key in yaml.safe_load(path.read_text()) or {}:
                yield f"{group}.{key}"


INTEGERS = ["0", "1", "2", "16", "24", "300", "9223372036854775808", f"1{'0' * 30}", "-1"]
NUMBERS = [*INTEGERS, "0.5", "1.0", "1e5", "1e-300", "1e308", "nan", "inf", "-inf"]
NAMES = [
    "x",
    "file",
    "rgb",
    "bgr",
    "average",
    "builtin:waves",
    "builtin:x",
    "none.png",
    "a/b",
    "''",
]
LISTS = ["[]", "[1]", "[0.5,1]", "[1,1]", "[0.5,0.5]", "[1e300,0]", "[nan]", "[[1]]", "[null]"]
LISTS += ["[conv1_1]", "[conv_2,relu5_4]", "[conv_17]", "[content]", "[{kind: best}]"]
JUNK = [
    "null",
    "true",
    "perhaps",
    "5",
    "1.5",
    "'a\nb\r'",
    "é",
    "???",
    "{a: 1}",
    "${steps}",
    "${no}",
]
JUNK += [*LISTS[:3], *NUMBERS[-4:], "'\x1b[31m'"]
LIKELY = {
    "task": TASKS,
    "precision": PRECISIONS,
    "init.name": INITS,
    "layer_weights.content": (*LAYER_RULES, "[1]", "[0]"),
    "layer_weights.style": (*LAYER_RULES, "[1,2,3,4,5]", "[0,0,0,0,0]"),
    "content.scale": ("0.4", "1", "null"),
    "content.position": ("[0.5,0.5]", "[0,1]", "[9,9]", "[1e300,0]"),
    "schedule.sizes": ("[1]", "[0.5,1]", "[1e-300,1]"),
    "schedule.style": ("[1]", "null", "[0,1]", "[1e300,1]"),
}


def _likely(key: str, hint: Any) -> list[str]:
    """Values that are often right for a key of this type."""
    kinds = {int: INTEGERS, float: NUMBERS, str: NAMES, bool: ["true", "false"]}
    found = next((values for kind, values in kinds.items() if kind in (hint, *_parts(hint))), LISTS)
    return [*LIKELY.get(key, found)]


def _parts(hint: Any) -> tuple[Any, ...]:
    """The members of ``int | None``, but not of ``list[int]``."""
    return () if hasattr(hint, "__origin__") else getattr(hint, "__args__", ())


GROUPS = _groups()
VALUES = {
    **{key: _likely(key, hint) for key, hint in _leaves(Config)},
    **{key: [*NUMBERS, *NAMES] for key in _open_keys()},
    **GROUPS,
}


def _override(key: str) -> st.SearchStrategy[tuple[str, str]]:
    # a group of another type is Hydra's own to refuse: see test_bad_input
    wrong = NAMES if key in GROUPS else JUNK
    values = st.one_of(st.sampled_from(VALUES[key]), st.sampled_from([*VALUES[key], *wrong]))
    return st.tuples(st.just(key), values)


OVERRIDES = st.sampled_from(sorted(VALUES)).flatmap(_override)


def test_the_values_reach_every_key() -> None:
    assert {"steps", "content.path", "experiment.claims", "optimizer.lr", "+experiments"} <= {
        *VALUES
    }
    assert {key.split(".")[0].lstrip("+") for key in VALUES} >= {
        item.name for item in fields(Config)
    }


def test_any_config_prepares_or_is_refused_in_one_line() -> None:
    ends: Counter[str] = Counter()

    @bounded(EXAMPLES)
    @given(st.lists(OVERRIDES, min_size=1, max_size=4, unique_by=lambda pair: pair[0]))
    def check(chosen: list[tuple[str, str]]) -> None:
        overrides = [f"{key}={value}" for key, value in chosen]
        try:
            assert isinstance(prepared(*overrides), Run)
        except (NstError, HydraException, OmegaConfBaseException) as error:
            assert exit_status(error) == 2
            assert one_line(error).isprintable(), overrides
            ends["refused"] += 1
        else:
            ends["prepared"] += 1

    check()
    assert min(ends["refused"], ends["prepared"]) > EXAMPLES / 10  # or the property says little


TINY: dict[str, list[str]] = {
    "task": [*TASKS],
    "init": ["noise", "content", "style", "blend"],
    "init.kind": ["uniform", "gaussian"],
    "image.size": ["16", "23", "32"],
    "steps": ["1", "2"],
    "style.size": ["null", "17", "40"],
    "content": ["coffee", "rocket", "blend"],
    "style": ["waves", "brick"],
    "layers": ["report", "deep", "sparse"],
    "layer_weights": ["equal", "gatys"],
    "weights": ["mild", "strong"],
    "weights.style": ["0", "1e-30", "1e30", "1e300"],
    "weights.content": ["0", "1"],
    "weights.tv": ["0", "10"],
    "normalize": ["report", "textbook"],
    "optimizer": ["lbfgs", "lbfgs_textbook", "adam"],
    "optimizer.lr": ["1e-9", "1", "1e9"],
    "schedule": [
        "single",
        "octaves",
        "{sizes: [0.9, 1], steps: [1, 1], style: [0.1, 1], coarsest: null}",
    ],
    "backbone.pooling": [*architecture.POOLINGS],
    "backbone.padding": ["zeros", "replicate", "circular"],
    "precision": ["32", "bf16"],
    "seed": ["0", "9223372036854775807"],
    "snapshot_every": ["1", "7"],
}


def test_any_tiny_config_that_prepares_runs(tmp_path: Path) -> None:
    ends: Counter[str] = Counter()
    pairs = [st.tuples(st.just(key), st.sampled_from(values)) for key, values in TINY.items()]

    @bounded(EXAMPLES // 5)
    @given(st.lists(st.one_of(pairs), max_size=6, unique_by=lambda pair: pair[0]))
    def check(chosen: list[tuple[str, str]]) -> None:
        overrides = {"image.size": "16", "steps": "2", "logger": "none", **dict(chosen)}
        outputs = tmp_path / str(len(list(tmp_path.iterdir())))
        outputs.mkdir()
        try:
            run = prepared(*(f"{k}={v}" for k, v in overrides.items()), f"outputs={outputs}")
        except NstError:
            ends["refused"] += 1
            return
        try:
            execute([run])
        except DivergedError:
            ends[DIVERGED] += 1
        else:
            ends[COMPLETED] += 1
        (folder,) = (outputs / "runs").iterdir()
        facts = read_facts(folder)
        assert facts["status"] in (COMPLETED, DIVERGED), overrides
        if facts["status"] == COMPLETED:
            with Image.open(folder / "final.png") as image:
                assert image.size[::-1] == run.shape(run.scales[-1])

    check()
    assert ends[COMPLETED] > EXAMPLES / 10


def _signature(run: Run) -> str:
    return signature(resolved(run, precision="32"))


MEANING = [
    *("task=style_transfer", "init=blend", "init.noise=0.25", "seed=3", "image.size=64"),
    *("optimizer=adam", "optimizer.lr=0.03", "layers=gatys", "layers.content=[conv_2]"),
    *("schedule=pyramid", "schedule.steps=[1,2,3]", "weights.tv=2", "style.path=builtin:brick"),
]


def test_signature_does_not_depend_on_the_order_of_overrides() -> None:
    @bounded(EXAMPLES // 10)
    @given(st.permutations(MEANING))
    def check(overrides: list[str]) -> None:
        assert _signature(prepared(*overrides)) == expected

    expected = _signature(prepared(*MEANING))
    check()


def test_signature_does_not_depend_on_the_order_of_keys() -> None:
    run = prepared("image.size=16")
    for seed in range(5):
        items = [*run.config.optimizer.items()]
        random.Random(seed).shuffle(items)
        other = replace(run, config=replace(run.config, optimizer=dict(items)))
        assert _signature(other) == _signature(run)


@pytest.mark.parametrize(
    "spellings",
    [
        ["optimizer.lr=1", "optimizer.lr=1.0", "optimizer.lr=1e0", "optimizer={lr: 1}"],
        ["optimizer.max_rise=2", "optimizer.max_rise=2.0"],
        ["weights.style=100000", "weights.style=1e5", "weights.style=100000.0"],
        ["schedule.sizes=[1]", "schedule.sizes=[1.0]", "schedule.sizes=[1e0]"],
        ["schedule.steps=[1]", "schedule.steps=[7]"],
        ["schedule.style=null", "schedule.style=[1]", "schedule.style=[1.0]"],
        ["layer_weights.style=[1,2,3,4,5]", "layer_weights.style=[1.0,2.0,3.0,4.0,5.0]"],
        ["layers.style=[conv_1,relu_2]", "layers.style=[conv1_1,relu1_2]"],
    ],
    ids=lambda spellings: spellings[0],
)
def test_signature_does_not_depend_on_the_spelling(spellings: list[str]) -> None:
    """As long as the spellings mean the same to the optimisation."""
    extra = (
        []
        if spellings[0].startswith("layers")
        else ["layers.style=[conv_1,conv_2,conv_3,conv_4,conv_5]"]
    )
    if spellings[0].startswith("schedule"):
        extra.append("schedule=single")
    assert (
        len({_signature(prepared(*extra, "image.size=64", spelling)) for spelling in spellings})
        == 1
    )


PINNED = {  # whoever changes these raises SIGNATURE_VERSION, unless a default in conf/ changed
    "693aed09df": ["image.size=48", "steps=7"],
    "75f41a9bcd": [*MEANING, "init.kind=gaussian", "style.size=64", "layer_weights.content=[0.1]"],
}


def _pictures(folder: Path) -> list[str]:
    """A gradient and its transpose, exact on any machine, as overrides."""
    gradient = np.arange(64 * 96, dtype=np.uint32).reshape(64, 96)
    pixels = np.stack([gradient % 251, gradient // 25, gradient % 7 * 36], -1).astype(np.uint8)
    for name, array in (("content", pixels), ("style", pixels.transpose(1, 0, 2))):
        Image.fromarray(np.ascontiguousarray(array)).save(folder / f"{name}.png")
    return [f"{name}.path={folder}/{name}.png" for name in ("content", "style")]


def test_signatures_stay_what_they_are(tmp_path: Path) -> None:
    pictures = _pictures(tmp_path)
    found = [_signature(prepared(*overrides, *pictures)) for overrides in PINNED.values()]
    assert found == [*PINNED]


ALONE = """
import json, sys
from hydra import compose, initialize_config_dir
from nst.config import schema
from nst.config.compose import conf_dir, to_config
from nst.runner.inputs import prepare
from nst.runner.signature import signature
from nst.vgg import weights
schema.register()
loaded = weights.load("vgg19", "embedded", None, None, "rgb")
with initialize_config_dir(conf_dir(), version_base="1.3"):
    for overrides in json.loads(sys.argv[1]):
        config = to_config(compose("config", overrides=overrides))
        print(signature(prepare(config), loaded, "32"))
"""  # without tests.helpers, which takes seconds to import


@slow  # each run of the test before has a hash seed of its own
def test_signatures_do_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    pictures = _pictures(tmp_path)
    asked = json.dumps([[*overrides, *pictures] for overrides in PINNED.values()])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ALONE, asked],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("0", "4242")
    ]
    for process in processes:
        assert process.communicate(timeout=LIMIT)[0].split() == [*PINNED]
