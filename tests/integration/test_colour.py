"""Runs with ``colour=match`` and ``colour=keep_luminance``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from nst.images import colour_transfer
from nst.metrics.structure import colour_distance
from nst.runner.record import read_facts
from nst.runner.signature import signature
from nst.sweeps.vectorized.pictures import SharedPictures
from nst.transfer.run import Run
from nst.utils.errors import ConfigError, NstError
from tests.helpers import (
    STYLE_LOSSES,
    WILD,
    assert_each_as_alone,
    config,
    execute,
    first_of,
    module,
    optimise,
    tiny_run,
)
from tests.run_folders import contents
from tests.unit.test_colour_transfer import chroma_error

pytestmark = pytest.mark.usefixtures("tiny_backbone")

COMMON = (
    *("image.size=32", "steps=6", "snapshot_every=3", "logger=none", "precision=32"),
    *("layers.style=[conv1_1,conv3_1]", "layers.content=[conv2_2]", "content=astronaut"),
)
KEPT = "colour=keep_luminance"


def _spread(image: Tensor) -> float:
    """Largest difference between the channels of images (N, 3, H, W)."""
    image = image.detach()
    return float((image.amax(1) - image.amin(1)).max())


def _run(*overrides: str) -> Run:
    return tiny_run(*COMMON, *overrides)


def _picture(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


@pytest.mark.parametrize("start", ["noise", "content", "style", "blend", "file"])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_optimised_image_stays_grey(optimizer: str, start: str) -> None:
    """To rounding, over both scales, while it changes."""
    settings = ("schedule=pyramid", "image.size=64", f"optimizer={optimizer}", f"init={start}")
    file = ("init.path=builtin:coffee",) if start == "file" else ()
    made = module([_run(KEPT, *settings, *file)])
    first = made.image.detach().clone()
    assert _spread(first) == 0
    for step in range(made.scales[-1].stop):
        made.training_step(step, step)
        assert _spread(made.image) < 1e-5, step
    assert made.image.shape != first.shape
    assert made.image.std() > 0.01


def test_the_start_is_the_content() -> None:
    """Its lightness: the content loss is 0."""
    run = _run(KEPT)
    assert module([run]).evaluate()["content"].item() < 1e-9


RUNS = [
    ["init=noise", "seed=3"],
    ["init=noise", "seed=3", "colour=match", "style=stained_glass"],
    ["init=noise", "seed=3", KEPT, "style=stained_glass", "weights.tv=20"],
    ["init=style", KEPT, "style=grass", "weights.spectrum=100"],
]


@pytest.mark.parametrize("optimizer", first_of(["lbfgs", "adam"]))
def test_a_batch_of_all_kinds(optimizer: str) -> None:
    batch, _ = assert_each_as_alone([_run(*own, f"optimizer={optimizer}") for own in RUNS])
    assert _spread(batch.image[2:]) < 1e-5
    assert _spread(batch.image[:2]) > 0.1


@pytest.mark.parametrize("loss", first_of(STYLE_LOSSES))
def test_other_runs_of_the_batch_have_the_same_bits(loss: str) -> None:
    """A grey run beside them changes neither their losses nor their gradients."""
    settings = (f"style_loss={loss}", "init=noise")

    def gradient(*runs: Run) -> tuple[Tensor, Tensor]:
        made = module(list(runs))
        total = made.objective(made.image)["total"]
        total.sum().backward()
        assert made.image.grad is not None
        return total.detach()[0], made.image.grad[0]

    own, other, grey = (
        _run(*settings, *more) for more in ((), ("seed=1",), ("seed=1", KEPT, "style=brick"))
    )
    torch.testing.assert_close(gradient(own, grey), gradient(own, other), rtol=0, atol=0)


def test_strips_are_the_same() -> None:
    losses = []
    for tiling in ("never", "always"):
        made = module([_run(KEPT, f"backbone.tiling={tiling}")], torch.float64)
        losses.append(optimise(made)["total"])
    torch.testing.assert_close(*losses, rtol=1e-6, atol=0)


def _results(tmp_path: Path, *overrides: str) -> tuple[Path, Run]:
    run = _run(*overrides, f"outputs={tmp_path}")
    (folder,) = execute([run])
    return folder, run


@pytest.mark.parametrize(
    "settings",
    [("init=content",), ("init=noise", "schedule=pyramid", "image.size=64"), ("content=blend",)],
    ids=str,
)
def test_the_result_has_the_colours_of_the_content(
    settings: tuple[str, ...], tmp_path: Path
) -> None:
    folder, run = _results(tmp_path, KEPT, "style=stained_glass", *settings)
    content, final = (_picture(folder / name) for name in ("inputs/content.png", "final.png"))
    assert chroma_error(final, content) < 1
    assert np.abs(np.asarray(final, float) - np.asarray(content)).mean() > 3, "not the content"
    last = _picture(folder / "snapshots" / f"{run.config.steps:05d}.png")
    assert last.tobytes() == final.tobytes()
    style = np.asarray(_picture(folder / "inputs/style.png"))
    assert (style.max(2) == style.min(2)).all()
    first = _picture(folder / "snapshots" / "00000.png").resize(content.size)
    if "init=content" in settings:
        assert np.abs(np.asarray(first, float) - np.asarray(content)).mean() < 2


def test_without_it_the_result_has_other_colours(tmp_path: Path) -> None:
    """The limit of the test above is not met by chance."""
    folder, _ = _results(tmp_path, "style=stained_glass", "init=noise")
    content, final = (_picture(folder / name) for name in ("inputs/content.png", "final.png"))
    assert chroma_error(final, content) > 5


def test_the_best_picture_of_a_run_that_diverges_is_shown_too(tmp_path: Path) -> None:
    wild = (*WILD, "divergence=2", "steps=30", "init=content")
    with pytest.raises(NstError):
        execute([_run(KEPT, *wild, f"outputs={tmp_path}")])
    (folder,) = (tmp_path / "runs").iterdir()
    content = _picture(folder / "inputs/content.png")
    assert chroma_error(_picture(folder / "best.png"), content) < 1


@pytest.mark.parametrize("colour", ["match", "keep_luminance"])
def test_both_styles_are_among_the_inputs(colour: str, tmp_path: Path) -> None:
    """At the size that the run uses; metrics compare with the original."""
    folder, run = _results(tmp_path, f"colour={colour}", "style=stained_glass", "style.size=40")
    plain, other = _results(tmp_path, "style=stained_glass", "style.size=40")
    original = _picture(folder / "inputs/original_style.png")
    style, final = (_picture(folder / name) for name in ("inputs/style.png", "final.png"))
    assert original.size == style.size
    assert min(style.size) == 40
    assert original.tobytes() == _picture(plain / "inputs/style.png").tobytes() != style.tobytes()
    assert run.style is not None
    assert other.style is not None
    assert run.style.sha256 != other.style.sha256
    assert run.style.parts[colour_transfer.ORIGINAL].tobytes() == other.style.image.tobytes()
    distance = colour_distance(np.asarray(final), np.asarray(original))
    assert read_facts(folder)["measures"]["colour_distance"] == distance
    assert distance != colour_distance(np.asarray(final), np.asarray(style))


@pytest.mark.parametrize("colour", ["match", "keep_luminance"])
@pytest.mark.parametrize(
    "settings",
    [("style.mix=0.3",), ("guidance=masks", "guidance.content=[builtin:left,builtin:rest]")],
    ids=["mix", "regions"],
)
def test_several_styles(settings: tuple[str, ...], colour: str, tmp_path: Path) -> None:
    """Each of them gets the colours of the content, and is kept as it was."""
    names = ("brick", "stained_glass")
    paths = f"style.path=[{','.join(f'builtin:{name}' for name in names)}]"
    folder, run = _results(tmp_path, f"colour={colour}", paths, *settings)
    found = {style.picture.name: style.picture for style in run.styles}
    for name in names:
        alone = _run(f"colour={colour}", f"style={name}").style
        assert alone is not None
        assert found[name].sha256 == alone.sha256
    inputs = {path.stem: _picture(path).tobytes() for path in (folder / "inputs").iterdir()}
    for number in ("", "_2"):
        assert inputs[f"style{number}"] != inputs[f"original_style{number}"]
    if colour == "keep_luminance":
        content, final = (_picture(folder / name) for name in ("inputs/content.png", "final.png"))
        assert chroma_error(final, content) < 1


@pytest.mark.parametrize("colour", ["match", "keep_luminance"])
def test_a_resumed_run_ends_the_same(colour: str, tmp_path: Path) -> None:
    settings = (f"colour={colour}", "init=noise", "steps=8", "schedule=pyramid", "image.size=64")
    whole, _ = _results(tmp_path / "whole", *settings)
    broken = (*settings, f"outputs={tmp_path / 'broken'}")
    for stop in (2, 3):
        with pytest.raises(NstError, match="stopped by the Trainer"):
            execute([_run(*broken, f"+trainer.max_steps={stop}")])
    (resumed,) = execute([_run(*broken)])
    assert contents(resumed) == contents(whole)


def test_signatures() -> None:
    """``none`` is as if there were no such key; each other value is another run."""
    found = {
        signature(_run(f"colour={colour}", "init=noise", "precision=32"))
        for colour in ("none", "match", "keep_luminance")
    }
    assert len(found) == 3
    assert signature(_run("colour=none", "init=noise")) == signature(_run("init=noise"))


def test_contents_of_the_same_lightness_are_different(tmp_path: Path) -> None:
    """Not for the optimisation, but for the picture that is shown."""
    photo = _run(KEPT)
    assert photo.content is not None
    file = tmp_path / "grey.png"
    colour_transfer.grey(photo.content).image.save(file)
    grey = _run(KEPT, f"content.path={file}")
    assert photo.grey is not None
    assert grey.grey is not None
    assert photo.grey.sha256 == grey.grey.sha256
    assert signature(photo) != signature(grey)


def test_the_runs_of_a_sweep_share_their_pictures(tmp_path: Path) -> None:
    """Unless they were made of different ones."""
    for number, folder in enumerate(("one", "other")):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (40, 40), (100 * number,) * 3).save(tmp_path / folder / "plain.png")
    pictures = SharedPictures()
    paths = (f"style.path={tmp_path}/{folder}/plain.png" for folder in ("one", "one", "other"))
    settings = (KEPT, "init=noise", f"outputs={tmp_path}")
    runs = [
        pictures.share(_run(*settings, f"seed={number}", path)) for number, path in enumerate(paths)
    ]
    first, second, other = (run.style for run in runs)
    assert first is not None
    assert other is not None
    assert first is second
    assert runs[0].grey is runs[1].grey is runs[2].grey
    assert first.sha256 == other.sha256
    assert first.parts != other.parts


@pytest.mark.parametrize("task", ["texture_synthesis", "content_reconstruction"])
@pytest.mark.parametrize("colour", ["match", "keep_luminance"])
def test_without_both_pictures_it_has_no_effect(task: str, colour: str) -> None:
    settings = (f"task={task}", "init=noise")
    plain, run = _run(*settings), _run(*settings, f"colour={colour}")
    assert signature(plain) == signature(run)
    assert run.grey is None
    for ours, theirs in ((run.style, plain.style), (run.content, plain.content)):
        assert (ours and ours.sha256) == (theirs and theirs.sha256)


def test_a_wrong_value() -> None:
    with pytest.raises(ConfigError, match=r"colour=keep.*did you mean keep_luminance"):
        config("colour=keep_luminence")
