"""A style in the colours or the lightness of a content, and colours at another lightness."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.color import deltaE_ciede2000, lab2rgb, rgb2lab
from torch import Tensor

from nst import images
from nst.images import Picture, colour_transfer, lab

PHOTOS = ("astronaut", "china", "waves")


def _picture(pixels: NDArray[np.generic]) -> Picture:
    return Picture("drawn", Image.fromarray(pixels.astype(np.uint8)))


def _load(name: str) -> Picture:
    return images.load(f"builtin:{name}", "style.path")


def _pixels(picture: Picture) -> NDArray[np.float64]:
    return np.asarray(picture.image, np.float64).reshape(-1, 3)


def _random(*shape: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).random(shape)


def _moderate(seed: int) -> Picture:
    """Correlated colours in the middle of the range: nothing is clipped."""
    mix = 0.6 * np.eye(3) + 0.4 * _random(3, 3, seed=seed) / 3
    return _picture(128 + 60 * (_random(80, 70, 3, seed=seed + 10) - 0.5) @ mix.T)


def _cube() -> Tensor:
    """(3, 17, 289): all of the gamut, with its edges."""
    values = torch.linspace(0, 1, 17)
    return torch.stack(torch.meshgrid(values, values, values, indexing="ij")).flatten(2)


def _covariance(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.cov(pixels.T, bias=True)
    return found


def _lab(image: Tensor | Image.Image) -> NDArray[np.float64]:
    """CIELAB (H, W, 3) as scikit-image has it, of a tensor as exactly as it is."""
    if isinstance(image, Tensor):
        image = image.permute(1, 2, 0).double().numpy()  # type: ignore[assignment]
    found: NDArray[np.float64] = rgb2lab(np.asarray(image))
    return found


def chroma_error(shown: Tensor | Image.Image, original: Tensor | Image.Image) -> float:
    """Mean CIEDE2000 of two pictures, both with the lightness of the second one."""
    own, wanted = _lab(shown), _lab(original)
    own[..., 0] = wanted[..., 0]
    return float(deltaE_ciede2000(own, wanted).mean())


def test_lightness_and_back() -> None:
    image = torch.from_numpy(_random(3, 40, 50))
    luminance = torch.tensordot(torch.tensor(lab.LUMINANCE).double(), lab.linear(image), 1)
    found = lab.lightness(luminance)
    np.testing.assert_allclose(found, _lab(image)[..., 0], atol=1e-3)
    torch.testing.assert_close(lab.luminance(found), luminance)
    torch.testing.assert_close(lab.encoded(lab.linear(image)), image, rtol=0, atol=1e-4)


def test_grey_has_the_lightness_and_no_colour() -> None:
    image = _cube()
    found = _lab(lab.grey(image))
    np.testing.assert_allclose(found[..., 0], _lab(image)[..., 0], atol=0.01)
    assert np.abs(found[..., 1:]).max() < 0.01
    torch.testing.assert_close(lab.grey(lab.grey(image)), lab.grey(image), rtol=0, atol=1e-5)


def test_mean_and_covariance_are_those_of_the_content() -> None:
    for style, content in itertools.permutations(map(_load, PHOTOS), 2):
        matrix, offset = colour_transfer.colour_map(style, content)
        mapped, wanted = _pixels(style) @ matrix.T + offset, _pixels(content)
        np.testing.assert_allclose(mapped.mean(0), wanted.mean(0), atol=1e-6)
        np.testing.assert_allclose(_covariance(mapped), _covariance(wanted), rtol=1e-6)
        found = colour_transfer.matched(style, content)
        np.testing.assert_array_equal(_pixels(found), mapped.clip(0, 255).round())
        assert found.image.size == style.image.size
        assert found.parts == {colour_transfer.ORIGINAL: style.image}


def test_a_picture_matched_to_itself_stays_the_same() -> None:
    china = _load("china")
    assert colour_transfer.matched(china, china).sha256 == china.sha256


@pytest.mark.parametrize("noise", [0, 1])
def test_a_grey_style_varies_along_one_axis(noise: int) -> None:
    """Rounding noise of a grey picture does not become spots of colour."""
    grey = np.repeat(np.round(60 + 120 * _random(90, 90, 1)), 3, axis=2)
    style = _picture(grey + noise * np.round(_random(90, 90, 3) - 0.3))
    content = _moderate(1)
    found = colour_transfer.matched(style, content)
    np.testing.assert_allclose(_pixels(found).mean(0), _pixels(content).mean(0), atol=0.1)
    deviations = np.linalg.eigvalsh(np.cov(_pixels(found).T)) ** 0.5
    assert deviations[-1] > 5, "it still varies"
    assert deviations[:-1].max() < 0.6, "but only along one axis"


def test_without_variance_there_is_one_colour() -> None:
    """Of the style or of the content: the mean of the content, and no infinity."""
    plain, content = _picture(np.full((30, 40, 3), (90, 10, 200))), _moderate(1)
    for style, like in ((plain, content), (content, plain)):
        found = colour_transfer.matched(style, like)
        mean = _pixels(like).mean(0).round()
        assert (_pixels(found) == mean).all()
        found = colour_transfer.grey_matched(style, like)
        assert len(np.unique(_pixels(found))) == 1
        assert abs(_lab(found.image)[0, 0, 0] - _lab(like.image)[..., 0].mean()) < 0.3


def test_lightness_of_the_content() -> None:
    style, content = _load("china"), _moderate(1)
    found = _lab(colour_transfer.grey_matched(style, content).image)
    wanted = _lab(content.image)[..., 0]
    assert np.abs(found[..., 1:]).max() < 0.01
    mean, deviation = colour_transfer.lightness_moments(content)
    np.testing.assert_allclose((mean, deviation), (wanted.mean(), wanted.std()), atol=0.01)
    np.testing.assert_allclose(found[..., 0].std(), deviation, atol=0.05)
    np.testing.assert_allclose(found[..., 0].mean(), mean, atol=0.05)


def test_pictures_of_several_blocks_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    style, content = _load("china"), _load("astronaut")

    def all_of_them() -> list[str]:
        changes = (colour_transfer.matched, colour_transfer.grey_matched)
        found = [change(style, content) for change in changes]
        image = images.to_tensor(content, *content.image.size)
        shown = lab.Colours(image).shown(image.flip(1))
        found += [colour_transfer.grey(style), Picture("shown", images.to_image(shown))]
        return [picture.sha256 for picture in found]

    many = all_of_them()
    monkeypatch.setattr(lab, "BLOCK", 2**30)
    assert all_of_them() == many


def test_colours_at_their_own_lightness_are_the_picture() -> None:
    for image in (_cube(), images.to_tensor(_load("astronaut"), 64, 64)):
        shown = lab.Colours(image).shown(lab.grey(image))
        assert (shown - image).abs().max() < 0.5 / 255


@pytest.mark.parametrize("name", ["cube", *PHOTOS])
def test_chroma_stays_whatever_the_lightness(name: str) -> None:
    """Also after rounding to 8 bits; under hard changes from black to white."""
    image = _cube() if name == "cube" else images.to_tensor(_load(name), 96, 96)
    colours = lab.Colours(image)
    stripes = torch.arange(image.shape[2]) // 5 % 2
    for lightness in (
        stripes.expand_as(image).float(),
        torch.from_numpy(_random(1, *image.shape[1:])).expand_as(image).float(),
        torch.zeros_like(image),
        torch.ones_like(image),
    ):
        shown = colours.shown(lightness)
        assert shown.min() >= 0
        assert shown.max() <= 1
        assert chroma_error(shown, image) < 0.2
        assert chroma_error(images.to_image(shown), image) < 1


def test_lightness_is_the_nearest_possible() -> None:
    """Of 60 steps of L*, none that is a colour of sRGB is nearer to the one wanted."""
    image = _cube()
    colours, own = lab.Colours(image), _lab(image)
    for wanted in (0.0, 35.0, 70.0, 100.0):
        grey = lab.encoded(lab.luminance(torch.full_like(image, wanted)))
        found = _lab(colours.shown(grey))[..., 0]
        for lightness in np.linspace(0, 100, 61):
            other = own.copy()
            other[..., 0] = lightness
            possible = np.abs(_clipped(other) - other).max(-1) < 0.01
            nearer = np.abs(lightness - wanted) < np.abs(found - wanted) - 0.1
            assert not (possible & nearer).any()


def _clipped(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIELAB of what scikit-image makes of it: clipped, if it is outside the gamut."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: NDArray[np.float64] = rgb2lab(lab2rgb(values))
    return found


def test_grey_stays_grey_and_takes_any_lightness() -> None:
    image = torch.full((3, 20, 101), 0.4)
    ramp = torch.linspace(0, 1, 101).expand_as(image)
    shown = lab.Colours(image).shown(ramp)
    torch.testing.assert_close(shown, ramp, rtol=0, atol=2e-4)
