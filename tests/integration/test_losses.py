"""Runs with each of the losses: in a batch, from outside the package, and their metrics."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from PIL import Image
from torch import Tensor

from nst.cli import main
from nst.config.compose import conf_dir
from nst.losses import Gram, StyleLoss
from nst.runner.signature import signature
from nst.runner.tags import tags
from nst.sweeps.vectorized import batches
from tests.helpers import (
    STYLE_LOSSES,
    assert_each_as_alone,
    execute,
    module,
    optimise,
    prepared,
    tiny_run,
)

COMMON = ("image.size=32", "steps=4", "layers.style=[conv1_1,conv2_2]", "layers.content=[conv2_2]")
OTHERS = ("content_loss=self_similarity", "content_loss=none", "weights.spectrum=100")
PRESETS = tuple(sorted(path.stem for path in Path(conf_dir(), "preset").glob("*.yaml")))
DOCS = Path(__file__).parents[2] / "docs" / "losses.md"


def test_runs_with_different_losses_share_a_batch() -> None:
    """Each as if it were alone, in double precision, whatever the loss."""
    own: list[tuple[str, ...]] = [
        (f"style_loss={name}", f"seed={index}") for index, name in enumerate(STYLE_LOSSES)
    ]
    own += [(other,) for other in OTHERS]
    own += [("style_loss=gram", "layers.style=[conv2_2]"), ("task=content_reconstruction",)]
    runs = [tiny_run(*COMMON, "init=noise", *each) for each in own]
    assert len({str(batches._shared(run)) for run in runs}) == 1
    _, together = assert_each_as_alone(runs)
    assert (together["content"][:, len(STYLE_LOSSES) + 1] == 0).all()  # content_loss=none


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_each_style_loss_falls(name: str) -> None:
    """By a quarter and more, which a wrong gradient would not do."""
    run = prepared(
        *("task=texture_synthesis", "style=brick", "init=noise", "image.size=48", "steps=12"),
        *("layers.style=[conv1_1,conv2_1]", f"style_loss={name}"),
    )
    losses = optimise(module([run]))["total"][:, 0]
    assert losses.isfinite().all()
    assert losses[-1] < 0.75 * losses[0]


def test_a_redraw_changes_the_directions_and_forgets_the_history() -> None:
    run = tiny_run(*COMMON, "style_loss=sliced_wasserstein", "style_loss.redraw=2", "init=noise")
    assert [(scale.start, scale.stop, scale.draw) for scale in run.scales] == [(0, 2, 0), (2, 4, 1)]
    made = module([run])
    first = made.objective
    image = made.image.detach().clone()
    made.training_step(0, 0)
    assert made.objective is first
    made.training_step(1, 1)
    assert made.objective is not first
    before, after = (each(image)["style"] for each in (first, made.objective))
    assert before != after
    torch.testing.assert_close(before, after, rtol=0.5, atol=0)  # the same distance, estimated
    assert not made.optimizer_state(0)


def test_the_signature_tells_losses_apart_and_keeps_old_ones() -> None:
    def of(*overrides: str) -> str:
        return signature(prepared(*COMMON, *overrides))

    plain = of()
    assert of("style_loss.name=mine") == plain
    assert of("style_loss.scale=1") == plain
    found = [of(f"style_loss={name}") for name in STYLE_LOSSES if name != "gram"]
    found += [of(other) for other in OTHERS]
    found += [of("style_loss.scale=2"), of("style_loss=remd", "style_loss.samples=5")]
    assert len({plain, *found}) == len(found) + 1
    no_content = ("content_loss=none", "init=noise")
    assert of(*no_content) == of(*no_content, "weights.content=7")


@dataclass(frozen=True)
class Means(StyleLoss):
    """A loss from outside the package."""

    power: float = 2.0
    additive: ClassVar[bool] = True

    def describe(self, *features: Tensor) -> Tensor:
        return features[0].float().mean(dim=(2, 3))

    def distance(self, description: Tensor, target: Tensor) -> Tensor:
        return (description - target).abs().pow(self.power).mean(1)


class Undecorated(Means):
    """Its parameters would not tell it from ``Means``."""


def test_a_loss_from_outside_the_package(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny_backbone: None
) -> None:
    own = [f"style_loss._target_={__name__}.Means", "+style_loss.power=2.0", "style_loss.name=mine"]
    command = [*COMMON, "snapshot_every=4", "logger=none", f"outputs={tmp_path}", *own]
    assert main.invoke(command) == 0
    folder = Path(capsys.readouterr().out.splitlines()[-1])
    assert json.loads((folder / "run.json").read_text())["status"] == "completed"
    own[0] = f"style_loss._target_={__name__}.Undecorated"
    assert main.invoke([*COMMON, "logger=none", f"outputs={tmp_path}", *own]) == 2
    assert "@dataclass(frozen=True)" in capsys.readouterr().err


def test_the_loss_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's module and config file, as they stand there."""
    python, config = re.findall(r"```(?:python|yaml)\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert len(python.splitlines()) <= 24
    (tmp_path / "my_losses.py").write_text(python)
    group = tmp_path / "my_conf" / "style_loss"
    group.mkdir(parents=True)
    (group / "histograms.yaml").write_text(config)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    flags = ["--config-dir", "my_conf", *COMMON, "style_loss=histograms", "logger=none"]
    assert main.invoke([*flags, "outputs=outputs"]) == 0
    (folder,) = (tmp_path / "outputs" / "runs").iterdir()
    assert "name: histograms" in (folder / "config.yaml").read_text()


def test_without_a_content_loss_its_layers_do_not_count() -> None:
    own = ("content_loss=none", "layers.content=[]", "layers.style=[conv1_1]", "image.size=4")
    run = tiny_run("steps=1", *own)
    assert run.taps == {"conv1_1"}
    assert not [tag for tag in tags(run.config) if tag.startswith(("layers.c", "weights.c"))]
    assert "content_loss=none" in tags(run.config)


def test_columns_of_a_run_are_those_of_its_losses(tmp_path: Path) -> None:
    own = ("style_loss=cross", "weights.spectrum=1"), ("style_loss=moments", "content_loss=none")
    runs = [tiny_run(*COMMON, *each, f"outputs={tmp_path}", "logger=none") for each in own]
    columns = []
    for folder in execute(runs):
        with (folder / "metrics.csv").open() as file:
            columns.append([name for name in next(csv.reader(file)) if name.startswith("loss/")])
        assert Image.open(folder / "final.png").size[1] == 32
    always = ["loss/total", "loss/content", "loss/style", "loss/tv"]
    assert columns[0] == [*always, "loss/spectrum", "loss/content/conv2_2", "loss/style/conv1_1"]
    assert columns[1] == [*always, "loss/style/conv1_1", "loss/style/conv2_2"]


@pytest.mark.parametrize("name", ["sliced_wasserstein", "wasserstein", "nearest"])
def test_a_loss_is_one_graph_for_the_compiler(name: str) -> None:
    """As ``compile`` needs it; those that draw, decompose or match."""
    loss = tiny_run(*COMMON, f"style_loss={name}").loss("style")
    assert loss is not None
    generator = torch.Generator().manual_seed(0)
    own, other = torch.randn(2, 1, 4, 4, 6, generator=generator)
    layers = [slice(None), slice(3)]  # with other numbers of channels
    targets = [loss.prepare(loss.describe(other[:, each]), 24) for each in layers]

    def value(features: Tensor) -> Tensor:
        pairs = zip(layers, targets, strict=True)
        return sum(
            (loss.distance(loss.describe(features[:, each]), wanted) for each, wanted in pairs),
            torch.zeros(1),
        )

    compiled = torch.compile(value, fullgraph=True, backend="aot_eager", dynamic=False)
    torch.testing.assert_close(compiled(own), value(own))


def test_directions_are_what_the_compiler_is_told() -> None:
    features = torch.randn(1, 24, 6)
    torch.library.opcheck(torch.ops.nst.directions.default, (features, 0, 0))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_run_and_can_be_overridden(name: str, tiny_backbone: None) -> None:
    """At a size for tests; what is typed wins over the preset."""
    run = prepared(f"+preset={name}", "image.size=128", "steps=6", "weights.tv=3")
    assert run.config.weights.tv == 3
    assert run.config.steps == 6
    losses = optimise(module([run]))["total"][:, 0]
    assert losses.isfinite().all()
    assert losses[-1] < losses[run.scales[-1].start]


def test_equal_losses_are_one_key() -> None:
    assert Gram() == Gram(scale=1)
    assert len({Gram(), Gram(scale=1.0), Gram(scale=2.0), Means(), Means(power=3)}) == 4
