"""Configs: every wrong value is one line and exit status 2."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from nst.config.compose import conf_dir
from nst.config.messages import one_line
from nst.runner.identify import identify
from nst.runner.inputs import prepare
from nst.runner.signature import signature
from nst.transfer.run import Run
from nst.utils.errors import ConfigError
from tests.helpers import config, execute, prepared, resolved

CONF = Path(conf_dir())

WRONG = [
    # (overrides, what the line must name)
    (["stepz=5"], ["stepz", "steps"]),
    (["image.sizes=5"], ["image.sizes", "size"]),
    (["+unknown.key=5"], ["unknown"]),
    (["steps=many"], ["steps", "many"]),
    (["steps=0"], ["steps=0", "from 1"]),
    (["steps=2", "schedule=pyramid"], ["steps=2", "(3)"]),
    (["image.size=-3"], ["image.size=-3"]),
    (["image.size=12"], ["image.size=12", "relu5_1", "at least 16 px"]),
    (["image.size=8", "style.size=64"], ["image.size=8", "relu5_1", "at least 16 px"]),
    (["image.size=32", "schedule=pyramid"], ["schedule.sizes", "8 px", "relu5_1"]),
    (
        ["image.size=64", "schedule=octaves", "schedule.coarsest=8"],
        ["schedule.coarsest=8: ", "8 px"],
    ),
    (
        ["schedule=single", "schedule.coarsest=64"],
        ["schedule.sizes=[1.0]: ", "null", "schedule=octaves"],
    ),
    (["schedule=octaves", "schedule.coarsest=0"], ["schedule.coarsest=0"]),
    (["schedule=octaves", "schedule.coarsest=null"], ["schedule.sizes=null: ", "null"]),
    (["schedule=octaves", "schedule.steps=[1]"], ["schedule.steps=[1.0]: "]),
    (["style.size=4"], ["style.size=4", "relu5_1"]),
    (["snapshot_every=0"], ["snapshot_every=0"]),
    (["seed=-1"], ["seed=-1"]),
    (["task=style"], ["task=style", "style_transfer", "texture_synthesis"]),
    (["precision=16"], ["precision=16", "auto, 32, bf16"]),
    (["layers.style=[conv_17]"], ["layers.style=[conv_17]", "16", "conv1_1", "conv5_4"]),
    (["layers.style=[]"], ["layers.style=[]", "at least one"]),
    (["layers.content=[conv4_2,conv_10]"], ["layers.content", "twice"]),
    (["layers=nothing"], ["layers=nothing", "gatys", "report"]),
    (["weights.style=nan"], ["weights.style=nan", "finite"]),
    (["weights.style=-1"], ["weights.style=-1", "0 or more"]),
    (["weights.tv=inf"], ["weights.tv=inf"]),
    (["weights.style=0", "weights.content=0"], ["weights.content", "weights.style"]),
    (["layer_weights.style=[1,2]"], ["layer_weights.style=[1,2]", "5 numbers"]),
    (["layer_weights.style=heavy"], ["layer_weights.style=heavy", "gatys"]),
    (["layer_weights.style=[0,0,0,0,0]"], ["above 0"]),
    (["normalize.layers=max"], ["normalize.layers=max", "mean, sum"]),
    (["init=random"], ["init=random", "noise"]),
    (["init=noise", "init.kind=pink"], ["init.kind=pink", "gaussian"]),
    (["init=blend", "init.noise=2"], ["init.noise=2"]),
    (["content.path=null"], ["content.path=null", "content=blend"]),
    (["style.path=null"], ["style.path", "or a list of them"]),
    (["content.source=builtin:coffee"], ["content.source", "content=blend"]),
    (["content=blend", "content.mask=null"], ["content.mask=null"]),
    (["content=blend", "content.target=null"], ["content.target=null"]),
    (["content=blend", "content.scale=0"], ["content.scale=0", "above 0"]),
    (["content=blend", "content.scale=nan"], ["content.scale=nan"]),
    (["content=blend", "content.position=[0.5]"], ["content.position=[0.5]", "two numbers"]),
    (["content=blend", "content.gradients=mean"], ["content.gradients=mean", "plain, mixed"]),
    (["content=blend", "content.position=[9,9]"], ["content.mask", "inside the target"]),
    (["content=blend", "content.source=none.jpg"], ["content.source=none.jpg", "no such file"]),
    (["content=blend", "content.mask=builtin:astronaut"], ["content.mask", "aspect"]),
    (["experiment.show=[end]"], ["experiment.show=end", "start, final"]),
    (["experiment.name=../x"], ["experiment.name=../x", "letters"]),
    (["+experiments=weights", "experiment.claims=[{kind: best}]"], ["claims[0].text"]),
    (["+experiments=none"], ["experiments=none", "texture_layers"]),
    (["init=file"], ["init.path=null"]),
    (["init=content", "task=texture_synthesis"], ["init=content", "noise, style, file"]),
    (["schedule=single", "schedule.sizes=[1,0.5]"], ["schedule.sizes=[1.0,0.5]"]),
    (["schedule=single", "schedule.steps=[1,1]"], ["schedule.steps=[1.0,1.0]"]),
    (
        ["schedule=single", "schedule.style=[0.5,1]"],
        ["schedule.style=[0.5,1.0]", "needs 1 numbers"],
    ),
    (["schedule=single", "schedule.style=[0.5]"], ["schedule.style=[0.5]", "the last one 1"]),
    (["schedule=single", "schedule.style=[]"], ["schedule.style=[]"]),
    (["backbone=resnet"], ["backbone=resnet", "vgg19"]),
    (["backbone.source=hub"], ["backbone.source=hub", "embedded", "without a network"]),
    (["backbone.pooling=sum"], ["backbone.pooling=sum", "average"]),
    (["backbone.padding=mirror"], ["backbone.padding=mirror", "replicate"]),
    (
        ["backbone.padding=circular", "image.size=100"],
        ["image.size=100", "backbone.padding=circular needs a multiple of 16", "96 or 112"],
    ),
    (
        ["backbone.padding=circular", "image.size=9"],
        ["image.size=9", "multiple of 16, such as 16: the stride of the deepest layer"],
    ),
    (
        [
            "backbone.padding=circular",
            "image.size=65",
            "layers.style=[conv_1]",
            "layers.content=[conv_3]",
        ],
        ["image.size=65", "multiple of 2, such as 64 or 66"],
    ),
    (["backbone.name=vgg16"], ["backbone.source=embedded", "VGG-19 only"]),
    (["optimizer.lr=0"], ["optimizer", "lr=0"]),
    (["optimizer.lrr=1"], ["optimizer.lrr", "lr"]),
    (["optimizer.projection=clip"], ["projection=clip", "honest"]),
    (["optimizer=sgd"], ["optimizer=sgd", "adam"]),
    (["content.path=/no/such.jpg"], ["content.path=/no/such.jpg", "no such file"]),
    (["style.path=builtin:monet"], ["style.path=builtin:monet", "brushstrokes"]),
    (["trainer.accelerator=quantum"], ["trainer", "quantum"]),
]


@pytest.mark.parametrize(("overrides", "named"), WRONG, ids=" ".join)
def test_wrong_values_are_told_in_one_line(
    overrides: list[str], named: list[str], tmp_path: Path
) -> None:
    outputs = tmp_path / "outputs"
    with pytest.raises(Exception) as caught:
        execute([prepare(config(f"outputs={outputs}", *overrides))])
    line = one_line(caught.value)
    assert "\n" not in line
    for part in named:
        assert part in line
    assert not outputs.exists()


def test_a_picture_too_small_for_the_layers(tmp_path: Path) -> None:
    path = tmp_path / "tiny.png"
    Image.new("RGB", (9, 12)).save(path)
    with pytest.raises(ConfigError, match="9x12 px, too small for relu5_1"):
        prepared(f"style.path={path}")
    prepared(f"style.path={path}", "layers.style=[conv3_1]")


def _signature(run: Run) -> str:
    return signature(resolved(run, precision="32"))


def test_signature_knows_what_determines_the_picture(tmp_path: Path) -> None:
    base = prepared()
    same = [
        ["outputs=elsewhere"],
        ["snapshot_every=7"],
        ["logger=none"],
        ["seed=5"],  # nothing is drawn at random from content
        ["layers.style=[relu_1,relu_3,relu_5,relu_9,relu_13]"],  # other names of the same
        ["optimizer.lr=1"],
        ["style.size=256"],
        ["divergence=5", "retry=failed", "checkpoint_seconds=0"],
    ]
    for overrides in same:
        assert _signature(prepared(*overrides)) == _signature(base), overrides
    other = [
        ["steps=301"],
        ["image.size=255"],
        ["init=noise"],
        ["init=noise", "seed=1"],
        ["weights.style=2e5"],
        ["weights.tv=1"],
        ["layers.style=[conv1_1]"],
        ["layer_weights=gatys"],
        ["normalize=textbook"],
        ["optimizer=adam"],
        ["optimizer.filter_power=0"],
        ["schedule=pyramid"],
        ["backbone.pooling=average"],
        ["style=waves"],
        ["style.size=128"],
        ["content=coffee"],
        ["task=content_reconstruction"],
    ]
    found = {_signature(prepared(*overrides)) for overrides in other}
    assert len(found) == len(other)
    assert _signature(base) not in found

    copy = tmp_path / "renamed.png"
    assert base.content is not None
    base.content.image.save(copy)
    assert _signature(prepared(f"content.path={copy}")) == _signature(base)


def test_folder_names_are_readable_and_safe(tmp_path: Path) -> None:
    path = tmp_path / "a <script>..b\n' photo.png"
    Image.new("RGB", (64, 64), "red").save(path)
    run = identify(prepare(_with_content(path)))
    name = Path(str(run.config.run.folder)).name
    label = "style_transfer-a_script_b_photo-brushstrokes-content"
    assert name == f"{label}-{run.config.run.signature}"


def _with_content(path: Path):  # type: ignore[no-untyped-def]
    composed = config()
    composed.content.path = str(path)
    return composed


def _documented() -> list[str]:
    """Every override of a logger in README and docs, in code spans and in commands."""
    root = Path(__file__).parents[2]
    found: dict[str, None] = {}
    for page in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        for span in re.findall(r"`([^`\n]+)`|^(nst .*)$", page.read_text("utf-8"), re.MULTILINE):
            with suppress(ValueError):  # a quote that is no shell's
                words = shlex.split("".join(span), comments=True)
                found |= dict.fromkeys(w for w in words if re.match(r"\+?logger[\w.]*=.", w))
    return [word.replace("…", "x") for word in found]


@pytest.mark.parametrize("override", _documented())
def test_overrides_of_loggers_work_as_documented(override: str) -> None:
    of = re.match(r"\+?logger\.(\w+)\.", override)
    assert config(*([f"logger={of[1]}"] if of else []), override).logger is not None
