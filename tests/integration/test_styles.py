"""Several styles at once: mixes, and regions of the image with a style each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from nst import images
from nst.compare.comparison import build
from nst.config.differences import labels
from nst.runner.signature import signature
from nst.transfer.module import StyleTransfer
from nst.transfer.run import Run
from nst.utils.errors import ConfigError, NstError
from tests.helpers import (
    STYLE_LOSSES,
    assert_each_as_alone,
    execute,
    first_of,
    module,
    optimise,
    tiny_run,
)
from tests.run_folders import contents

COMMON = ("image.size=64", "steps=3", "init=noise", "layers=textbook", "content=coffee")
TWO = "style.path=[builtin:waves,builtin:mosaic]"
SWAPPED = "style.path=[builtin:mosaic,builtin:waves]"
HALVES = "guidance.content=[builtin:top,builtin:bottom]"


def run_of(*overrides: str) -> Run:
    return tiny_run(*COMMON, *overrides)


def guided(*overrides: str) -> Run:
    return run_of("guidance=masks", *overrides)


def made(run: Run) -> StyleTransfer:
    return module([run])


def losses_of(run: Run) -> dict[str, torch.Tensor]:
    return made(run).evaluate()


def mask_file(path: Path, grey: int, size: tuple[int, int]) -> str:
    Image.new("L", size, grey).save(path)
    return str(path)


@pytest.fixture
def coffee() -> tuple[int, int]:
    """Size of the content."""
    return images.load("builtin:coffee", "content.path").image.size


@pytest.mark.parametrize("name", first_of(STYLE_LOSSES))
def test_the_order_of_styles_changes_nothing(name: str) -> None:
    one = run_of(TWO, "style.weights=[0.7,0.3]", f"style_loss={name}")
    other = run_of(SWAPPED, "style.weights=[3,7]", f"style_loss={name}")
    assert signature(one) == signature(other)
    for mine, theirs in zip(losses_of(one).values(), losses_of(other).values(), strict=True):
        assert mine.equal(theirs)
    assert signature(one) != signature(run_of(TWO, f"style_loss={name}"))


def test_ends_of_a_mix_are_runs_with_one_style() -> None:
    first, second = (run_of(f"style={name}") for name in ("waves", "mosaic"))
    assert signature(run_of(TWO, "style.mix=0")) == signature(first)
    assert signature(run_of(TWO, "style.mix=1")) == signature(second)
    twice = run_of("style.path=[builtin:waves,builtin:waves]")
    assert signature(twice) == signature(first)
    between = {signature(run_of(TWO, f"style.mix={mix}")) for mix in (0.25, 0.5, 0.75)}
    assert len(between) == 3


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_a_mix_is_of_descriptions_where_the_loss_allows_it(name: str) -> None:
    """Else the losses are averaged, and are then never below both ends."""
    values = {
        mix: losses_of(run_of(TWO, f"style.mix={mix}", f"style_loss={name}"))["style/conv2_1"]
        if name != "cross"
        else losses_of(run_of(TWO, f"style.mix={mix}", f"style_loss={name}"))["style"]
        for mix in (0, 0.5, 1)
    }
    average = (values[0] + values[1]) / 2
    if name in ("nearest", "remd"):
        torch.testing.assert_close(values[0.5], average)
    else:  # a distance to the mean is below the mean of convex distances
        assert (values[0.5] < average * 0.999).all()


def test_gram_matrices_of_a_mix_are_averages() -> None:
    objective = made(run_of(TWO, "style.mix=0.25")).objective
    ends = [made(run_of(f"style={name}")).objective for name in ("waves", "mosaic")]
    for mixed, one, other in zip(
        *(
            [each for each in every.comparisons if "style" in each.name]
            for every in (objective, *ends)
        ),
        strict=True,
    ):
        torch.testing.assert_close(mixed.target, 0.75 * one.target + 0.25 * other.target)


def test_a_mask_of_ones_is_no_mask(tmp_path: Path, coffee: tuple[int, int]) -> None:
    white = mask_file(tmp_path / "white.png", 255, coffee)
    plain, masked = run_of("style=waves"), guided("style=waves", f"guidance.content=['{white}']")
    assert signature(plain) == signature(masked)
    one, other = made(plain), made(masked)
    for mine, theirs in zip(optimise(one).values(), optimise(other).values(), strict=True):
        assert mine.equal(theirs)
    assert one.image.equal(other.image)


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_half_masks_with_one_style_are_that_style(
    name: str, tmp_path: Path, coffee: tuple[int, int]
) -> None:
    """Each counts for half of every position."""
    halves = [mask_file(tmp_path / f"{grey}.png", grey, coffee) for grey in (128, 127)]
    masked = guided("style=waves", f"guidance.content={halves}", f"style_loss={name}")
    assert len(masked.styles) == 2
    plain = losses_of(run_of("style=waves", f"style_loss={name}"))
    for key, value in losses_of(masked).items():
        torch.testing.assert_close(value, plain[key], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_outside_a_region_its_style_has_no_gradient(name: str) -> None:
    objective = made(guided(TWO, HALVES, f"style_loss={name}")).objective
    tops = [
        each for each in objective.comparisons if each.region is not None and "style" in each.name
    ]
    assert len({each.name for each in tops}) * 2 == len(tops)
    for each in tops:
        assert each.region is not None
        features = [
            torch.rand(1, objective.backbone.channels(layer), *mask.shape[2:], requires_grad=True)
            for layer, mask in zip(each.layers, each.region.masks, strict=True)
        ]
        whole = dict(zip(each.layers, features, strict=True))
        if each.by_strip:
            description = each.loss.describe_weighted(features, each.region.weights)
            value = each.loss.distance(description, each.target)
        else:
            value = each.value({}, whole, 1)
        value.sum().backward()
        for part in features:
            assert part.grad is not None
            # of several layers, a position of the deepest takes those that it covers along
            mask = F.interpolate(each.region.masks[-1], part.shape[2:])
            outside = mask.expand_as(part) == 0
            assert outside.any()
            assert part.grad[outside].eq(0).all()
            assert part.grad[~outside].ne(0).any()


def test_regions_of_a_batch_are_as_alone(tmp_path: Path) -> None:
    runs = [
        guided(TWO, HALVES),
        guided(TWO, "guidance.content=[builtin:left,builtin:right]"),
        run_of(TWO, "style.mix=0.3"),
        run_of("style=brick"),
        guided("style.path=[builtin:waves,null]", HALVES, "style_loss=nearest"),
        guided(TWO, HALVES, "style_loss=sliced_wasserstein"),
        run_of(TWO, "style_loss=remd"),
    ]
    assert_each_as_alone(runs)


def test_strips_of_regions_are_the_whole() -> None:
    always, never = (
        guided(TWO, HALVES, f"backbone.tiling={tiling}", "style_loss=wasserstein")
        for tiling in ("always", "never")
    )
    for mine, theirs in zip(losses_of(always).values(), losses_of(never).values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-6)


def test_colours_of_an_indexed_picture_are_regions(tmp_path: Path, coffee: tuple[int, int]) -> None:
    indices = np.zeros(coffee[::-1], np.uint8)
    indices[: round(coffee[1] / 2)] = 7
    picture = Image.fromarray(indices).convert("L")
    picture = Image.frombytes("P", picture.size, indices.tobytes())
    picture.putpalette([value for colour in range(256) for value in (colour, 0, 255 - colour)])
    path = tmp_path / "regions, [a]=1.png"
    picture.save(path)
    # in the order of the palette: 0 is below
    by_colour = guided(SWAPPED, f"guidance.content='{path}'")
    assert signature(by_colour) == signature(guided(TWO, HALVES))


def test_rest_is_what_the_others_leave() -> None:
    named = guided(TWO, "guidance.content=[builtin:top,builtin:rest]")
    assert signature(named) == signature(guided(TWO, HALVES))


def test_a_part_of_the_style_counts() -> None:
    whole = guided("style=waves", HALVES)
    part = guided("style=waves", HALVES, "guidance.style=[builtin:ellipse,null]")
    assert signature(whole) != signature(part)
    assert losses_of(whole)["style"] != losses_of(part)["style"]
    both = "guidance.style=[builtin:top,builtin:bottom]"
    once = guided("style=waves", HALVES, both)
    swapped = guided(
        "style=waves",
        "guidance.content=[builtin:bottom,builtin:top]",
        "guidance.style=[builtin:bottom,builtin:top]",
    )
    assert signature(once) == signature(swapped)


def test_eroded_masks_see_nothing_but_the_region() -> None:
    plain, eroded = (guided(TWO, HALVES, f"guidance.erode={erode}") for erode in (False, True))
    assert signature(plain) != signature(eroded)
    objective = made(eroded).objective
    image = torch.rand(1, 3, *objective.shape, requires_grad=True)
    deep = [each for each in objective.comparisons if each.name == "style/conv3_1"]
    top = next(each for each in deep if each.region and each.region.masks[0][..., 0, 0] > 0)
    assert top.region is not None
    features = objective.backbone(image, ["conv3_1"])["conv3_1"]
    value = top.loss.distance(
        top.loss.describe_weighted([features], top.region.weights), top.target
    )
    value.sum().backward()
    assert image.grad is not None
    height = image.shape[2] // 2
    assert image.grad[:, :, height:].eq(0).all()
    assert image.grad[:, :, :height].ne(0).any()


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["guidance.content=[]"], "must be a list of masks"),
        (["guidance.content=[builtin:circle,builtin:rest]"], "no such mask"),
        (["guidance.content=[builtin:top,builtin:ellipse]"], "overlap"),
        (["guidance.content=builtin:top"], "a list"),
        (["guidance.content=[builtin:rest,builtin:rest]"], "twice"),
        (["guidance.content=[builtin:top,builtin:rest]", TWO.replace("]", ",null]")], "2 regions"),
        ([HALVES, "guidance.style=[builtin:top]"], "for each of the 2 regions"),
        ([HALVES, TWO, "style.mix=0.5"], "not mixed"),
        ([HALVES, TWO, "weights.spectrum=1"], "spectrum"),
        ([HALVES, "guidance.erode=true", "layers.style=[conv5_1]"], "is empty at conv5_1"),
        (["guidance=none", "style.path=[builtin:waves,null]"], "guidance=masks"),
        (["guidance=none", TWO, "style.weights=[1]"], "needs 2 numbers"),
        (["guidance=none", TWO, "style.weights=[0,0]"], "above 0"),
        (["guidance=none", "style.mix=0.5"], "style.path has 1"),
        (["guidance=none", TWO, "style.mix=2"], "from 0"),
        (["style.path=[]", HALVES], "needs a picture"),
    ],
)
def test_wrong_styles_are_refused(overrides: list[str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        guided(*overrides)


def test_masks_of_another_aspect_are_refused(tmp_path: Path, coffee: tuple[int, int]) -> None:
    width, height = coffee
    wrong = mask_file(tmp_path / "wrong.png", 255, (width, height // 2))
    problem = f"wrong.png has {width}x{height // 2} px, the content has {width}x{height} px"
    with pytest.raises(ConfigError, match=problem):
        guided("style=waves", f"guidance.content=['{wrong}']")
    half = mask_file(tmp_path / "half.png", 255, (width // 2, height // 2))
    assert guided("style=waves", f"guidance.content=['{half}']").styles[0].region is None
    black = mask_file(tmp_path / "black.png", 0, coffee)
    with pytest.raises(ConfigError, match=r"black.png is empty at"):
        guided(TWO, f"guidance.content=['{black}',builtin:rest]")


def test_style_scale_is_a_size() -> None:
    assert signature(run_of("style.scale=1")) == signature(run_of())
    assert signature(run_of("style.scale=0.5")) == signature(run_of("style.size=32"))
    with pytest.raises(ConfigError, match=r"style\.size is set as well"):
        run_of("style.scale=0.5", "style.size=32")


@pytest.mark.parametrize(
    "control", [(TWO, "style.mix=0.3"), ("guidance=masks", TWO, HALVES)], ids=["mix", "regions"]
)
def test_a_resumed_run_ends_the_same(control: tuple[str, ...], tmp_path: Path) -> None:
    settings = (
        "init=noise",
        "steps=6",
        "image.size=64",
        "schedule=pyramid",
        "logger=none",
        *control,
    )
    (whole,) = execute([run_of(*settings, f"outputs={tmp_path / 'whole'}")])
    broken = (*settings, f"outputs={tmp_path / 'broken'}")
    with pytest.raises(NstError, match="stopped by the Trainer"):
        execute([run_of(*broken, "+trainer.max_steps=3")])
    (resumed,) = execute([run_of(*broken)])
    assert contents(resumed) == contents(whole)
    pictures = {path.stem for path in (whole / "inputs").glob("*.png")}
    regions = {"region", "region_2"} if control[0] == "guidance=masks" else set()
    assert pictures == {"content", "style", "style_2", *regions}
    page = build(tmp_path / "whole").with_name("runs.js").read_text()
    assert ('"region 2":"' in page) == bool(regions)
    assert '"style 2":"' in page


def test_masks_of_styles_fit_each_its_own_style(tmp_path: Path) -> None:
    """The photo is wider than the drawing."""
    sizes = [images.load(f"builtin:{name}", "style.path").image.size for name in ("china", "waves")]
    ours = [mask_file(tmp_path / f"{index}.png", 255, size) for index, size in enumerate(sizes)]
    for mask in ours:  # a corner that does not count: white everywhere is no mask
        picture = Image.open(mask)
        picture.paste(0, (0, 0, 40, 40))
        picture.save(mask)
    both = "style.path=[builtin:china,builtin:waves]"
    run = guided(both, HALVES, f"guidance.style={ours}")
    assert {style.source is not None for style in run.styles} == {True}
    with pytest.raises(ConfigError, match=r"the mask .*1\.png has"):
        guided(both, HALVES, f"guidance.style={ours[::-1]}")


def test_null_is_no_region() -> None:
    with pytest.raises(ConfigError, match="null is no region"):
        guided(TWO, "guidance.content=[builtin:top,null,builtin:bottom]")


def test_names_of_several_styles() -> None:
    config = guided("style.path=[builtin:waves,null]", HALVES).config
    assert labels(config.asdict())["style"] == ["waves + none"]
