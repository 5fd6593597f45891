"""Poisson blending solves the paper's equation, agrees with OpenCV's, and puts things in place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from nst import images
from nst.images.poisson import (
    Blend,
    Mask,
    Pixels,
    blend,
    ellipse,
    naive_paste,
    place,
    poisson,
    rectangle,
)
from nst.runner.signature import signature
from tests.helpers import prepared


def _noise(height: int, width: int, seed: int, spread: float = 0.05) -> Pixels:
    """(height, width, 3), so close to 0.5 that small blends need no clipping."""
    return 0.5 + spread * np.random.default_rng(seed).uniform(-1, 1, (height, width, 3))


def _picture(size: tuple[int, int], seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


def _white(size: tuple[int, int]) -> Image.Image:
    return Image.new("L", size, 255)


def _equation(
    source: Pixels, target: Pixels, mask: Mask, mixed: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eq. 7 of the paper as a dense matrix and a right-hand side, one pixel at a time."""
    height, width = mask.shape
    inside = [(i, j) for i in range(height) for j in range(width) if mask[i, j]]
    matrix, right = np.zeros((len(inside), len(inside))), np.zeros((len(inside), 3))
    for row, (i, j) in enumerate(inside):
        for near in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            if not (0 <= near[0] < height and 0 <= near[1] < width):
                continue
            matrix[row, row] += 1
            if mask[near]:
                matrix[row, inside.index(near)] -= 1
            for channel in range(3):
                guide = source[i, j, channel] - source[*near, channel]
                own = target[i, j, channel] - target[*near, channel]
                right[row, channel] += own if mixed and abs(own) > abs(guide) else guide
                if not mask[near]:
                    right[row, channel] += target[*near, channel]
    return matrix, right


IRREGULAR = (
    np.array(
        [
            list("..xx....."),
            list(".xxxxx..x"),
            list(".xx..xx.x"),
            list("xxx..xx.."),
            list(".xxxxxx.."),
            list("...xx...x"),
            list("...xx...."),
        ]
    )
    == "x"
)
"""Touches three edges of the picture; has a hole and separate parts."""


@pytest.mark.parametrize("mixed", [False, True])
def test_the_solution_of_the_dense_system(mixed: bool) -> None:
    source, target = _noise(7, 9, 1), _noise(7, 9, 2)
    result = blend(source, target, IRREGULAR, mixed)
    matrix, right = _equation(source, target, IRREGULAR, mixed)
    np.testing.assert_allclose(result[IRREGULAR], np.linalg.solve(matrix, right), atol=1e-6)
    np.testing.assert_array_equal(result[~IRREGULAR], target[~IRREGULAR])
    assert result.min() > 0
    assert result.max() < 1


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 8),
    width=st.integers(1, 8),
    seed=st.integers(0, 1000),
    share=st.floats(0.05, 0.95),
    mixed=st.booleans(),
)
def test_any_mask(height: int, width: int, seed: int, share: float, mixed: bool) -> None:
    source, target = _noise(height, width, seed), _noise(height, width, seed + 1)
    mask = np.random.default_rng(seed).random((height, width)) < share
    assume(mask.any() and not mask.all())
    result = blend(source, target, mask, mixed)
    np.testing.assert_array_equal(result[~mask], target[~mask])
    assume(result.min() > 0 and result.max() < 1)
    matrix, right = _equation(source, target, mask, mixed)
    np.testing.assert_allclose(matrix @ result[mask], right, atol=1e-9)


def test_clipping() -> None:
    """A steep source on a bright target would go beyond white."""
    source, target = np.zeros((9, 9, 3)), np.full((9, 9, 3), 0.9)
    source[4, 4] = 0.5
    mask = np.zeros((9, 9), dtype=bool)
    mask[2:7, 2:7] = True
    result = blend(source, target, mask)
    matrix, right = _equation(source, target, mask, mixed=False)
    exact = np.linalg.solve(matrix, right)
    assert exact.max() == pytest.approx(1.4)
    np.testing.assert_allclose(result[mask], exact.clip(0, 1), atol=1e-9)


def test_a_shifted_target_gives_the_target() -> None:
    target = _noise(20, 30, 3, spread=0.3)
    mask = np.zeros((20, 30), dtype=bool)
    mask[5:, 4:20] = True
    np.testing.assert_allclose(blend(target + 0.2, target, mask), target, atol=1e-12)
    assert np.abs(naive_paste(target + 0.2, target, mask) - target).max() > 0.19


def test_mixed_keeps_the_texture_under_a_flat_source() -> None:
    target = np.full((40, 40, 3), 0.4)
    target[(np.indices((40, 40)) // 4).sum(0) % 2 == 0] = 0.6
    source, mask = np.full((40, 40, 3), 0.8), np.zeros((40, 40), dtype=bool)
    mask[8:32, 8:32] = True
    centre = np.s_[14:26, 14:26]
    np.testing.assert_allclose(blend(source, target, mask, mixed=True), target, atol=1e-9)
    assert blend(source, target, mask)[centre].std() < 0.1 * target[centre].std()


def test_mixed_chooses_per_channel() -> None:
    """Red detail is the source's, green the target's."""
    source, target = np.full((2, 20, 20, 3), 0.5)
    source[10, 10, 0] = target[10, 10, 1] = 0.8
    mask = np.zeros((20, 20), dtype=bool)
    mask[4:16, 4:16] = True
    np.testing.assert_allclose(blend(source, target, mask, mixed=True)[10, 10], [0.8, 0.8, 0.5])


@pytest.mark.parametrize(
    ("above", "below"), [("chelsea", "coffee"), ("hubble_deep_field", "rocket")]
)
def test_against_opencv(above: str, below: str) -> None:
    """OpenCV keeps the target's gradients in a rim of 3 px and fixes the mask's own outline.

    So it is compared with the blend through the mask without this rim, and not to rounding. Its
    mixed mode chooses otherwise than eq. 13 (by the difference of both derivatives), so only the
    plain one is compared.
    """
    source, target = (
        images.load(f"builtin:{name}", "k").image.resize((128, 96), Image.Resampling.LANCZOS)
        for name in (above, below)
    )
    mask = np.zeros((96, 128), dtype=bool)
    mask[10:86, 10:118] = True
    inner = np.zeros_like(mask)
    inner[13:83, 13:115] = True
    centre = (10 + 108 // 2, 10 + 76 // 2)  # of the mask's bounding box, (x, y)
    theirs = cv2.seamlessClone(
        np.asarray(source),
        np.asarray(target),
        mask.astype(np.uint8) * 255,
        centre,
        cv2.NORMAL_CLONE,
    ).astype(float)
    pixels = np.asarray(source) / 255, np.asarray(target) / 255
    ours = blend(*pixels, inner) * 255
    paste = naive_paste(*pixels, inner) * 255
    # Measured: 2.3 and 1.8 levels of 255; the naive paste 33 and 44.
    assert np.abs(ours - theirs)[mask].mean() < 3
    assert np.abs(paste - theirs)[mask].mean() > 20


def test_place_centres_the_source() -> None:
    source = _picture((20, 10))
    frame, region = place(source, _white((20, 10)), Image.new("RGB", (100, 80)), (0.5, 0.25))
    assert frame.shape == (80, 100, 3)
    np.testing.assert_array_equal(frame[15:25, 40:60], np.asarray(source) / 255)
    assert np.count_nonzero(frame.any(-1)) <= 200
    # without its outermost pixels, whose neighbours the source lacks
    expected = np.zeros((80, 100), dtype=bool)
    expected[16:24, 41:59] = True
    np.testing.assert_array_equal(region, expected)


def test_place_scales_by_the_width() -> None:
    source, target = _picture((20, 10)), Image.new("RGB", (100, 80))
    _, region = place(source, _white((20, 10)), target, (0.5, 0.5), 0.4)
    y, x = np.nonzero(region)
    assert (x.min(), x.max(), y.min(), y.max()) == (31, 68, 31, 48)  # 40x20 less 1 px around


def test_place_clips_at_the_target() -> None:
    """The left bottom quarter is left; at the target's own edges the mask is whole."""
    source = _picture((20, 10))
    frame, region = place(source, _white((20, 10)), Image.new("RGB", (50, 40)), (1, 0))
    np.testing.assert_array_equal(frame[:5, 40:], np.asarray(source)[5:, :10] / 255)
    expected = np.zeros((40, 50), dtype=bool)
    expected[:4, 41:] = True
    np.testing.assert_array_equal(region, expected)


def test_a_source_flush_with_the_target_keeps_its_edge() -> None:
    size = (12, 10)
    mask = rectangle(size)
    mask.paste(255, (0, 0, 12, 1))
    _, region = place(_picture(size), mask, Image.new("RGB", size), (0.5, 0.5))
    np.testing.assert_array_equal(region, np.asarray(mask) > 0)


def test_the_end_of_the_source_is_no_edge() -> None:
    """A flat source is a membrane between the target's values, wherever its rectangle ends."""
    source, target = Image.new("RGB", (30, 20), (255, 0, 90)), Image.new("RGB", (60, 50), "grey")
    for position in ((0.5, 0.5), (0.1, 0.9), (1, 0.5)):
        result = poisson(source, target, _white((30, 20)), position).result
        assert result.tobytes() == target.tobytes()


def test_masks_are_resized_and_cut_at_mid_grey() -> None:
    source, target = _picture((40, 20)), Image.new("RGB", (60, 60))
    mask = Image.new("L", (13, 7), 127)  # 40x20 at a third, rounded
    mask.paste(128, (0, 0, 6, 7))
    _, region = place(source, mask, target, (0.5, 0.5))
    columns = np.nonzero(region.any(0))[0]
    assert columns[0] == 11
    assert columns[-1] == pytest.approx(10 + 40 * 6 / 13, abs=3)
    _, again = place(source, mask.convert("RGB"), target, (0.5, 0.5))
    np.testing.assert_array_equal(region, again)


@pytest.mark.parametrize("mixed", [False, True])
def test_poisson_at_a_working_size(mixed: bool) -> None:
    source, target = _picture((80, 40)), _picture((400, 200), 1)
    result = poisson(source, target, ellipse((80, 40)), (0.5, 0.5), None, mixed, 50)
    assert isinstance(result, Blend)
    assert result.source.size == (20, 10)
    for image in (result.mask, result.target, result.paste, result.result):
        assert image.size == (100, 50)
        assert image.mode == "RGB"
    outside = np.asarray(result.mask)[..., 0] == 0
    below, paste = np.asarray(result.target), np.asarray(result.paste)
    np.testing.assert_array_equal(np.asarray(result.result)[outside], below[outside])
    frame, region = place(source, ellipse((80, 40)), result.target, (0.5, 0.5), 0.2)
    np.testing.assert_array_equal(region, ~outside)
    np.testing.assert_array_equal(paste[region], (frame[region] * 255).round())
    expected = blend(frame, below / 255, region, mixed)
    np.testing.assert_array_equal(np.asarray(result.result), (expected * 255).round())


def test_poisson_never_enlarges_the_target() -> None:
    source, target = _picture((20, 20)), _picture((60, 50), 1)
    result = poisson(source, target, ellipse((20, 20)), (0.5, 0.5), mixed=True, shorter=500)
    assert result.target.tobytes() == target.tobytes()
    assert result.source.tobytes() == source.tobytes()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA"])
def test_other_modes(mode: str) -> None:
    source, target = _picture((20, 20)).convert(mode), _picture((60, 50), 1).convert(mode)
    result = poisson(source, target, ellipse((20, 20)), (0.5, 0.5), 0.5)
    assert result.source.mode == result.target.mode == result.result.mode == "RGB"


def _masks() -> dict[str, Image.Image]:
    """One disc as grey, as colours, and in each way to say what is transparent."""
    disc = ellipse((60, 40))
    inside = np.asarray(disc) > 0
    photo = _picture((60, 40)).point(lambda value: value // 3)  # all of it darker than mid-grey
    cut_out, grey = photo.copy(), photo.convert("L")
    cut_out.putalpha(disc)
    grey.putalpha(disc)
    white = Image.new("RGBA", disc.size, "white")
    white.putalpha(disc)
    palette = Image.fromarray(inside.astype(np.uint8))
    palette.putpalette([90, 10, 20, 30, 40, 50])
    palette.info["transparency"] = 0
    opaque = disc.convert("RGBA")
    return {
        "grey.png": disc,
        "bilevel.png": disc.convert("1"),
        "deep.png": Image.fromarray(np.asarray(disc).astype(np.uint16) * 257),
        "colours.png": disc.convert("RGB"),
        "opaque.png": opaque,
        "opaque_grey.png": disc.convert("LA"),
        "white.png": white,
        "cut_out.png": cut_out,
        "cut_out.webp": cut_out,
        "cut_out.tif": cut_out,
        "grey_cut_out.png": grey,
        "palette.png": palette,
        "palette.gif": palette,
    }


MASKS = _masks()


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_may_have_any_mode(tmp_path: Path, name: str) -> None:
    MASKS[name].save(tmp_path / name)
    mask = images.load_mask(str(tmp_path / name), "content.mask")
    assert mask.mode == "L"
    np.testing.assert_array_equal(mask, MASKS["grey.png"])


def test_the_alpha_channel_is_the_mask(tmp_path: Path) -> None:
    """Its soft edge too, whatever the colours below."""
    alpha = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    for colour in ("white", "black", "red"):
        image = Image.new("RGB", alpha.size, colour)
        image.putalpha(alpha)
        image.save(tmp_path / "soft.png")
        mask = images.load_mask(str(tmp_path / "soft.png"), "content.mask")
        np.testing.assert_array_equal(mask, alpha)


def test_runs_do_not_depend_on_the_mode_of_the_mask(tmp_path: Path) -> None:
    overrides = ["content=blend", "content.source=builtin:brick", "image.size=32"]
    signatures = set()
    for name in ("grey.png", "cut_out.png", "grey_cut_out.png"):
        MASKS[name].resize((60, 60), Image.Resampling.NEAREST).save(tmp_path / name)
        run = prepared(*overrides, f"content.mask={tmp_path / name}")
        signatures.add(signature(run))
    assert len(signatures) == 1


def test_a_cut_out_has_no_gradient_at_its_edge() -> None:
    """A flat disc is a membrane over the target; its gradient to white would make it black."""
    target = Image.new("RGB", (100, 80), "grey")
    cut_out = Image.new("RGB", (60, 40), (90, 20, 160))
    cut_out.putalpha(ellipse((60, 40)))
    for mask in (ellipse((60, 40)), rectangle((60, 40)), _white((60, 40))):
        for scale in (None, 0.3, 1.0):
            result = poisson(cut_out, target, mask, (0.5, 0.5), scale)
            far = np.abs(np.asarray(result.result).astype(int) - np.asarray(target)).max()
            assert far <= (0 if scale is None else 1)
            assert np.asarray(result.mask).any()


def test_a_cut_out_is_the_photo_within_its_edge(tmp_path: Path) -> None:
    """It needs no mask of its own, and what lies below its transparent part does not count."""
    photo, target, disc = _picture((60, 40)), _picture((100, 80), 1), ellipse((60, 40))
    stored = np.array(photo)
    inside = np.asarray(disc) > 0
    within = inside.copy()
    for shift, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):
        within &= np.roll(inside, shift, axis)
    expected = poisson(photo, target, Image.fromarray(within), (0.5, 0.5))
    stored[~inside] = 7
    Image.fromarray(np.dstack([stored, np.asarray(disc)])).save(tmp_path / "cut_out.png")
    cut_out = images.load_cut_out(str(tmp_path / "cut_out.png"), "content.source").image
    for mask in (disc, _white((60, 40))):
        result = poisson(cut_out, target, mask, (0.5, 0.5))
        np.testing.assert_array_equal(result.mask, expected.mask)
        np.testing.assert_array_equal(result.result, expected.result)


def test_a_cut_out_outside_of_its_mask_is_refused() -> None:
    cut_out = Image.new("RGBA", (60, 40), (90, 20, 160, 0))
    with pytest.raises(ValueError, match="where the source is opaque"):
        poisson(cut_out, _picture((100, 80)), _white((60, 40)), (0.5, 0.5))


@pytest.mark.parametrize(("draw", "corner"), [(ellipse, 0), (rectangle, 255)])
@pytest.mark.parametrize("size", [(100, 50), (33, 200), (5, 4)])
def test_drawn_masks(
    draw: Callable[[tuple[int, int]], Image.Image], corner: int, size: tuple[int, int]
) -> None:
    image = draw(size)
    assert image.mode == "L"
    assert image.size == size
    x, y = round(0.04 * size[0]), round(0.04 * size[1])
    assert image.getbbox() == (x, y, size[0] - x, size[1] - y)
    assert set(image.tobytes()) <= {0, 255}
    if min(size) > 10:
        assert image.getpixel((x, y)) == corner


@pytest.mark.parametrize(
    ("source", "target", "mask", "match"),
    [
        ((4, 5, 3), (4, 5, 3), np.zeros((4, 5), dtype=bool), "empty"),
        ((4, 5, 3), (4, 5, 3), np.ones((4, 5), dtype=bool), "whole target"),
        ((4, 6, 3), (4, 5, 3), np.eye(4, 5, dtype=bool), "shapes"),
        ((4, 5, 3), (4, 5, 3), np.eye(5, 4, dtype=bool), "shapes"),
        ((4, 5), (4, 5), np.eye(4, 5, dtype=bool), "shapes"),
    ],
)
def test_what_cannot_be_blended(
    source: tuple[int, ...], target: tuple[int, ...], mask: Mask, match: str
) -> None:
    with pytest.raises(ValueError, match=match) as caught:
        blend(np.zeros(source), np.zeros(target), mask)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("mask", "position", "match"),
    [
        (_white((20, 14)), (0.5, 0.5), "aspect.*20x14 px.*20x10 px"),
        (_white((10, 20)), (0.5, 0.5), "aspect"),
        (_white((20, 10)), (2.0, 0.5), "nothing of the mask"),
        (_white((20, 10)), (0.5, -0.2), "nothing of the mask"),
        (Image.new("L", (20, 10)), (0.5, 0.5), "nothing of the mask"),
    ],
)
def test_what_cannot_be_placed(
    mask: Image.Image, position: tuple[float, float], match: str
) -> None:
    with pytest.raises(ValueError, match=match) as caught:
        place(_picture((20, 10)), mask, Image.new("RGB", (60, 50)), position)
    assert "\n" not in str(caught.value)


def test_a_source_over_the_whole_target_is_refused() -> None:
    source, target = _picture((40, 40)), _picture((20, 20), 1)
    with pytest.raises(ValueError, match="whole target"):
        poisson(source, target, _white((40, 40)), (0.5, 0.5))
