"""The filter of runs: its grammar, and that the command line and the page agree on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page

from nst.compare import filter as filters
from nst.compare.comparison import import_map
from nst.compare.filter import Condition, Facts, parse
from nst.config.differences import text
from tests.browser import opened

RUN: Facts = {
    "name": "style_transfer-Cat-waves-3f9a1c20de",
    "status": "completed",
    "experiment": ["weights", "two_noises"],
    "sweep": [],
    "init": "noise",
    "weights.style": "1e6",
    "content.path": "Photos/a,b [1].jpg",
    "layers.style": ["conv1_1", "conv2_1"],
    "force": "false",
    "loss": "19.5",
}


@pytest.mark.parametrize(
    ("word", "matched"),
    [
        ("init=noise", True),
        ("init=NOISE", True),
        ("init=noi", False),
        ("init=noi*", True),
        ("init=content,no?se", True),
        ("init=", False),
        ("weights.style=1000000", True),
        ("weights.style=1e5,1e6", True),
        ("weights.style=10*", False),
        ("weights.style>1e5", True),
        ("weights.style<1e6", False),
        ("loss<20", True),
        ("loss<19.5", False),
        ("loss>x", False),
        ("init>1", False),
        ("layers.style=conv2_1", True),
        ("layers.style=[conv1_1,conv2_1]", True),
        ("layers.style=[conv1_1, conv2_1]", True),
        ("layers.style=[conv1_1]", False),
        ("layers.style=conv1_1,conv9", True),
        ("content.path=photos/a,b [1].jpg", True),
        ("content.path=photos/*", True),
        ("force=false", True),
        ("sweep=[]", True),
        ("experiment=two_*", True),
        ("nobody=1", False),
        ("cat", True),
        ("*waves*", True),
        ("waves*", False),
        ("complete", True),
        ("conv1_1", False),
        ("=noise", False),
    ],
)
def test_grammar(word: str, matched: bool) -> None:
    assert parse(word).matches(RUN) == matched


def test_values_as_text() -> None:
    written = [text(value) for value in (1e6, 1e5, 0.5, 1 / 3, 2.5e-6, 3, True, None, [0.5, "a"])]
    short = ["1e6", "100000", "0.5", "0.3333333333333333", "2.5e-6", "3", "true", "null", "[0.5,a]"]
    assert written == short


KEYS = st.sampled_from(["init", "weights.style", "loss", "layers.style", "name", "label"])
TEXTS = st.one_of(
    st.sampled_from(["1e5", "100000", "100000.", "1E+5", "-.5", "-0.5", "+7", "7", "1e", "nan"]),
    st.sampled_from(["noise", "Noise", "content", "a,b", "null", "constructor", "1_0", "10"]),
    st.text(st.sampled_from("aAB*?[](),.=<>-1 İıßσΣς\\^${}|+/"), max_size=4),
)
RUN_FACTS = st.dictionaries(KEYS, st.one_of(TEXTS, st.lists(TEXTS, max_size=3)), min_size=2)
CHANGES = st.sampled_from(["{}", "{}*", "?{}", "[{}]", "{},x", "x,{}", " {}", "9{}", "{}.0"])


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[Any], list[str]]:
    """Runs, and words of which many match: most are made from the values of the runs."""
    runs = draw(st.lists(RUN_FACTS, min_size=1, max_size=3))
    own = [(key, each) for run in runs for key in run for each in _parts(run[key])]
    facts = (
        st.one_of(st.sampled_from(own), st.tuples(KEYS, TEXTS)) if own else st.tuples(KEYS, TEXTS)
    )
    signs = st.sampled_from(["=", "=", "<", ">", ""])
    words = []
    for _ in range(8):
        (key, value), sign, change = draw(facts), draw(signs), draw(CHANGES)
        words.append((f"{key}{sign}" if sign else "") + change.format(value))
    return runs, words


def _parts(value: str | list[str]) -> list[str]:
    return [*value, ",".join(value)] if isinstance(value, list) else [value, value[:-1]]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page with the comparison page's filter, and nothing else."""
    page = tmp_path_factory.mktemp("filter") / "index.html"
    modules = {"imports": {"nst/filter": import_map()["imports"]["nst/filter"]}}
    page.write_text(f'<script type="importmap">{json.dumps(modules)}</script>')
    with opened(page) as (browser, seen):
        yield browser
        assert seen.problems == []


def in_page(browser: Page, runs: list[Any], words: list[str]) -> list[list[bool]]:
    """For each run and word, whether it matches according to the page."""
    found: list[list[bool]] = browser.evaluate(
        "([runs, words]) => runs.map((run) => words.map("
        "(word) => nst.matches(nst.parse(word), new Map(Object.entries(run)))))",
        [runs, words],
    )
    return found


def in_python(runs: list[Any], words: list[str]) -> list[list[bool]]:
    """The same according to the command line."""
    return [[filters.parse(word).matches(run) for word in words] for run in runs]


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(batch=batches())
def test_both_filters_agree(browser: Page, batch: tuple[list[Any], list[str]]) -> None:
    assert in_page(browser, *batch) == in_python(*batch)


def no_number(text: str) -> float:
    return float("nan")


def as_python(text: str) -> float:
    """Takes ``nan``, ``1_000`` and blanks as numbers, as ``float`` does."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def one_pattern(word: str) -> Condition:
    found = parse(word)
    return Condition(found.keys, found.sign, found.patterns[:1])


def parts_of_lists(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("number", no_number),
        ("number", as_python),
        ("parse", one_pattern),
        ("_texts", parts_of_lists),
    ],
)
def test_a_difference_would_be_found(
    browser: Page, monkeypatch: pytest.MonkeyPatch, name: str, other: Callable[..., Any]
) -> None:
    """Batches as above reveal a filter that is slightly different."""
    monkeypatch.setattr(filters, name, other)

    def differs(batch: tuple[list[Any], list[str]]) -> bool:
        return in_page(browser, *batch) != in_python(*batch)

    generated = settings(
        max_examples=200, derandomize=True, deadline=None, phases=[Phase.generate], database=None
    )
    assert find(batches(), differs, settings=generated)
