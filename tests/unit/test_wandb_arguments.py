"""What a W&B run is given: checked before there is any, by the config or by W&B's variables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb

from nst.config.schema import RunConfig
from nst.loggers import wandb_agent
from nst.loggers.wandb import WandbLogger
from nst.runner.loggers import build_loggers
from nst.utils.errors import ArgumentError, ConfigError
from tests.helpers import config
from tests.wandb_server import WandbServer

LONG_NAME = "n" * 129

BAD: list[tuple[str, Any, str]] = [
    ("project", "a/b", "'/'"),
    ("project", "p" * 129, "128"),
    ("project", " ", "must not be empty"),
    ("project", None, "must be the name of a project"),
    ("project", ["a"], "must be text"),
    ("project", "a\nb", "on one line"),
    ("entity", "", "must not be empty"),
    ("entity", "me/nst", r"/ \ # ? % :"),
    ("id", "a/b", r"/ \ # ? % :"),
    ("id", "a\\b", r"/ \ # ? % :"),
    ("id", "a;b", ":;,#?/'"),
    ("id", " a", "whitespace"),
    ("id", "", "must not be empty"),
    ("id", "i" * 129, "129 characters; at most 128"),
    ("name", LONG_NAME, "129 characters; at most 128"),
    ("group", LONG_NAME, "129 characters; at most 128"),
    ("job_type", "j" * 65, "65 characters; at most 64"),
    ("notes", {"a": 1}, "must be text"),
    ("tags", [""], "between 1 and 64"),
    ("tags", ["good", "t" * 65], "65 characters. Tags must be between 1 and 64"),
    ("tags", "a,,b", "between 1 and 64"),
    ("tags", {"a": 1}, "a list of strings"),
    ("tags", [None], "a list of strings"),
    ("settings", {"init_timout": 1}, "did you mean init_timeout?"),
    ("settings", {"init_timeout": "soon"}, "valid number"),
    ("save_code", "perhaps", "boolean"),
    ("resume", "perhaps", "'allow'"),
    ("offline", True, "mode=offline"),
    ("magic", True, "no such argument"),
    ("mode", "onlin", "online, offline, disabled or null"),
]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    yield
    wandb.teardown()  # it keeps what the variables said


@pytest.mark.parametrize(("name", "value", "problem"), BAD, ids=lambda part: str(part)[:20])
def test_what_wandb_would_not_take(name: str, value: Any, problem: str, tmp_path: Path) -> None:
    """It is refused by name, with what is allowed; no folder and no process of W&B appears."""
    given = {"mode": "online", "project": "nst", "id": "x", name: value}
    with pytest.raises(ArgumentError) as refused:
        WandbLogger(save_dir=tmp_path / "run", **given)
    assert refused.value.name.split(".")[0] == name
    assert problem in refused.value.problem
    assert list(tmp_path.iterdir()) == []
    assert "WANDB_SERVICE" not in os.environ


def test_the_limits_themselves_are_taken(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "project": "p" * 128,
        "id": "i" * 128,
        "name": "n" * 128,
        "group": 2024,  # as Hydra reads group=2024
        "job_type": "j" * 64,
        "tags": ["t" * 64, 1],
        "notes": "two\nlines",
        "entity": "a-team",
    }
    found = WandbLogger(save_dir=tmp_path, mode="offline", **given)._wandb_init
    assert {key: found[key] for key in given} == {**given, "group": "2024", "tags": ["t" * 64, "1"]}


def test_a_check_reaches_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it begin W&B's process, or make a folder, even to find the mode by the login."""
    with WandbServer() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        logger = WandbLogger(save_dir=tmp_path / "run", project="nst", id="x")
        assert logger._wandb_init["mode"] == "online"
        assert server.requests == []
    assert list(tmp_path.iterdir()) == []
    assert "WANDB_SERVICE" not in os.environ


def test_what_excludes_each_other(tmp_path: Path) -> None:
    """A run that resumes cannot be a fork as well."""
    with pytest.raises(ValueError, match="mutually exclusive"):
        WandbLogger(save_dir=tmp_path, mode="online", project="nst", fork_from="a?_step=1")


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("WANDB_PROJECT", "a/b", "WANDB_PROJECT=a/b: "),
        ("WANDB_TAGS", "a,,b", "WANDB_TAGS=a,,b: "),
        ("WANDB_RUN_ID", "a/b", "WANDB_RUN_ID=a/b: "),
        ("WANDB_MODE", "onlin", "WANDB_MODE=onlin: "),
        ("WANDB_API_KEY", " secret", "WANDB_API_KEY=…: "),
    ],
)
def test_variables_that_wandb_would_not_take(
    name: str, value: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as refused:
        WandbLogger(save_dir=tmp_path, mode="offline", project="nst")
    assert str(refused.value).startswith(shown)
    assert "secret" not in str(refused.value)


VARIABLES = {
    "project": ("WANDB_PROJECT", "theirs", "nst"),
    "entity": ("WANDB_ENTITY", "team", None),
    "name": ("WANDB_NAME", "a name", "folder"),
    "group": ("WANDB_RUN_GROUP", "their group", "sweep"),
    "job_type": ("WANDB_JOB_TYPE", "their type", "style_transfer"),
    "tags": ("WANDB_TAGS", "a,b", ["init=content"]),
    "notes": ("WANDB_NOTES", "why", None),
}
"""By key: the variable, a value for it, and our default."""


@pytest.mark.parametrize("way", ["unset", "empty", "set", "overridden"])
def test_override_before_variable_before_default(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = []
    expected: dict[str, Any] = {}
    for key, (variable, value, default) in VARIABLES.items():
        expected[key] = default
        if way != "unset":
            monkeypatch.setenv(variable, "" if way == "empty" else value)
        if way == "set":
            expected[key] = value.split(",") if key == "tags" else value
        if way == "overridden":
            overrides.append(f"logger.wandb.{key}=ours")
            expected[key] = ["ours"] if key == "tags" else "ours"
    found = config("logger.wandb.mode=offline", *overrides)
    found.run = RunConfig(
        folder=str(tmp_path), name="folder", group="sweep", tags=["init=content"], wandb_id="x"
    )
    (logger,) = build_loggers(found)
    given = logger._wandb_init  # type: ignore[attr-defined]
    assert {key: given[key] for key in VARIABLES} == expected
    assert given["id"] == "x"


def test_an_id_in_the_environment_is_that_of_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wandb_agent.wandb_id(None) is None
    monkeypatch.setenv("WANDB_RUN_ID", "mine")
    assert wandb_agent.wandb_id(None) == "mine"
    assert wandb_agent.wandb_id("sweep") is None  # its runs would be one
    monkeypatch.setenv("WANDB_SWEEP_ID", "s")  # an agent's
    assert wandb_agent.wandb_id("sweep") == "mine"
