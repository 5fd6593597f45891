"""Of every key of the schema: what it affects is declared, and true."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import get_type_hints

import pytest

from nst.config.differences import labels, settings
from nst.config.keys import affects_result, batch_shares, declared, displayed_values, keys
from nst.config.schema import Config
from nst.runner.signature import facts, signature
from nst.sweeps.vectorized.batches import groups
from nst.transfer.run import Run
from tests.altered_keys import ALTERED, BLEND, SMALL, TINY
from tests.helpers import prepared, resolved

WEIGHTS = ("source", "path", "sha256", "order")
"""Of the backbone: how to come by the weights, which count by their values."""

NO_STYLE = ("style.", "layers.style", "weights.style", "layer_weights.style", "schedule.style")
NO_CONTENT = ("content.", "layers.content", "weights.content", "layer_weights.content")


@cache
def run(overrides: str) -> Run:
    return prepared(*TINY, *SMALL, *overrides.split())


def signed(run: Run) -> str:
    """Its signature on a machine where ``precision`` is what the config says."""
    return signature(resolved(run, precision=run.config.precision))


def test_of_every_key_it_is_declared_what_it_affects() -> None:
    def leaves(schema: type, prefix: str = "") -> list[str]:
        types = get_type_hints(schema)
        found = []
        for item in fields(schema):
            nested = types[item.name]
            inner = is_dataclass(nested) and "key" not in item.metadata
            found += leaves(nested, f"{prefix}{item.name}.") if inner else [f"{prefix}{item.name}"]
        return found

    assert leaves(Config) == [*keys()]
    assert ALTERED.keys() == keys().keys(), "a new key: say here how to change it"


@pytest.mark.parametrize("name", ALTERED)
def test_a_key_changes_the_signature_if_it_is_declared_to(name: str) -> None:
    base, change = ALTERED[name]
    if name == "backbone.name":  # its weights are not here
        config = run("").config
        other_name = replace(config, backbone=replace(config.backbone, name="vgg16"))
        assert signed(replace(run(""), config=other_name)) != signed(run(""))
        return
    if name.removeprefix("backbone.") in WEIGHTS:
        other = replace(run("").resolved.weights, sha256="other")
        assert signed(resolved(run(""), weights=other)) != signed(run("")), "by their values"
        return
    changes = signed(run(f"{base} {change}")) != signed(run(base))
    assert changes == affects_result(name)


def test_every_fact_has_a_value() -> None:
    named = {key.fact for key in keys().values() if key.fact}
    assert named == facts(run("")).keys()


@pytest.mark.parametrize(
    ("task", "unused"),
    [("content_reconstruction", NO_STYLE), ("texture_synthesis", NO_CONTENT)],
)
def test_what_a_task_does_not_use_does_not_count(task: str, unused: tuple[str, ...]) -> None:
    tried = 0
    for name, (base, change) in ALTERED.items():
        if name.startswith(unused) and base != BLEND:
            asked = f"init=noise {base} {{}} task={task}"
            assert signed(run(asked.format(""))) == signed(run(asked.format(change))), name
            tried += 1
    assert tried >= 4


def test_keys_that_older_runs_do_not_have() -> None:
    """Their defaults are what those runs did, so pages show no difference."""
    new = run("").config.asdict()
    old = {key: value for key, value in new.items() if not key.endswith("_loss")}
    old["weights"] = {key: new["weights"][key] for key in ("content", "style")}
    assert settings([old, new]) == [{}, {}]
    assert labels(old) == labels(new)
    other = run("style_loss=remd content_loss=none").config.asdict()
    assert settings([old, other])[0] == {"content_loss": "features", "style_loss": "gram"}
    assert settings([old, other])[1] == {"content_loss": "none", "style_loss": "remd"}


def test_keys_inside_a_mapping() -> None:
    assert affects_result("optimizer.lr")
    assert affects_result("trainer.callbacks")
    assert affects_result("trainer._target_")
    for name in ("trainer.max_time", "logger.wandb.project", "hydra.job.num", "hydra/launcher"):
        assert not affects_result(name)
    assert affects_result("pair"), "a config group may set any key"
    assert affects_result("weights")
    assert not affects_result("experiment.title")
    assert declared("nothing.of.this") is None


@pytest.mark.parametrize("name", ALTERED)
def test_runs_share_a_batch_if_they_may(name: str) -> None:
    base, change = ALTERED[name]
    if name == "backbone.name" or name.removeprefix("backbone.") in WEIGHTS:
        return  # of weights that are not here
    runs = [run(base), run(f"{base} {change}")]
    found = groups([resolved(each, precision=each.config.precision) for each in runs])
    same_shape = runs[0].shape(runs[0].scales[-1]) == runs[1].shape(runs[1].scales[-1])
    assert (len(found) == 1) == (same_shape and not batch_shares(name))


def test_a_measured_picture_has_no_settings() -> None:
    """Neither those of older runs, nor as a difference from those of runs."""
    picture = {"program": "other", "picture": "a.png", "content": {"path": "builtin:chelsea"}}
    assert displayed_values(picture) == {
        "program": "other",
        "picture": "a.png",
        "content.path": "builtin:chelsea",
    }
    assert labels(picture) == {"content": ["chelsea"]}
    config = run("").config.asdict()
    own = {"program": "other", "picture": "a.png"}
    assert settings([config, config, picture]) == [{}, {}, own]
    noise = run("seed=1").config.asdict()
    assert settings([config, noise, picture]) == [{"seed": 0}, {"seed": 1}, own]
    assert settings([picture, picture | {"picture": "b.png"}]) == [
        {"picture": "a.png"},
        {"picture": "b.png"},
    ]
