"""Metrics: known values, invariances, and what each must tell apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import wasserstein_distance
from skimage.color import lab2rgb, rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from nst import images
from nst.metrics import similarity, structure
from nst.metrics.quality import Metrics
from nst.metrics.seam import seam
from nst.transfer.run import Style
from nst.vgg import architecture
from nst.vgg.network import VGG
from tests.helpers import embedded


def picture(name: str, size: int = 96) -> Image.Image:
    image = images.load(f"builtin:{name}", "content.path").image
    height, width = images.fit(image.size, size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def pixels(name: str, size: int = 96) -> NDArray[np.uint8]:
    return np.asarray(picture(name, size))


def as_style(image: Image.Image) -> Style:
    return Style(images.Picture("style", image))


@pytest.fixture(scope="module")
def metrics() -> Metrics:
    return Metrics(embedded(), "vgg19", torch.device("cpu"))


def test_psnr_and_ssim_are_scikit_images() -> None:
    one = pixels("chelsea")
    noise = np.random.default_rng(0).normal(0, 12, one.shape)
    other = np.clip(one + noise, 0, 255).astype(np.uint8)
    expected = peak_signal_noise_ratio(one, other, data_range=255)
    assert similarity.psnr(other, one) == pytest.approx(expected, rel=1e-9)
    expected = structural_similarity(one, other, channel_axis=2)
    assert similarity.ssim(other, one) == pytest.approx(expected, rel=1e-9)
    assert similarity.psnr(one, one) == 99
    assert similarity.ssim(one, one) == 1


def test_psnr_of_one_level() -> None:
    one = np.zeros((8, 8, 3), np.uint8)
    # error of exactly one level everywhere: 20 log10(255)
    assert similarity.psnr(one, one + 1) == pytest.approx(48.1308, abs=1e-4)


def test_roughness_counts_grain() -> None:
    one = pixels("chelsea")
    grain = np.clip(one + np.random.default_rng(0).normal(0, 20, one.shape), 0, 255)
    assert similarity.roughness(one, one) == pytest.approx(1)
    assert similarity.roughness(grain.astype(np.uint8), one) > 2
    smooth = np.asarray(Image.fromarray(one).resize((20, 14)).resize(one.shape[1::-1]))
    assert similarity.roughness(smooth, one) < 0.5


def test_stroke_size_of_blobs_on_a_photo() -> None:
    """Blobs of 1, 2, 4 and 8 px; what the photo itself contains does not count, nor do colours."""
    one = np.asarray(Image.fromarray(pixels("chelsea")).resize((128, 128)))
    sizes = []
    for side in (1, 2, 4, 8):
        blobs = np.random.default_rng(0).normal(0, 20, (128 // side, 128 // side))
        added = np.kron(blobs, np.ones((side, side)))[..., None] + np.array([20, 0, -20])
        changed = np.clip(one + added, 0, 255).astype(np.uint8)
        sizes.append(similarity.stroke_size(changed, one))
    assert sizes == sorted(sizes)
    assert 2 < sizes[0] < 3.5
    assert sizes[3] / sizes[0] > 2.5


def test_colour_distance_of_two_greys_and_of_histograms() -> None:
    grey = np.full((4, 6, 3), 119, np.uint8)  # L* = 50.03
    lighter = np.full((5, 5, 3), 145, np.uint8)  # L* = 60.17
    assert structure.colour_distance(grey, grey) == 0
    assert structure.colour_distance(grey, lighter) == pytest.approx(10 / 3)  # a* and b* are equal
    one, other = pixels("chelsea", 64), pixels("coffee", 48)
    channels = [rgb2lab(each).reshape(-1, 3).T for each in (one, other)]
    expected = np.mean([wasserstein_distance(a, b) for a, b in zip(*channels, strict=True)])
    assert structure.colour_distance(one, other) == pytest.approx(expected, abs=0.1)
    assert structure.colour_distance(one[::-1], one) == 0  # nothing depends on the place


def _square(left: int) -> NDArray[np.uint8]:
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[10:30, left : left + 20] = 255
    return picture


def test_edges_agree_within_a_pixel() -> None:
    assert structure.edge_agreement(_square(20), _square(20)) == 1
    assert structure.edge_agreement(_square(21), _square(20)) == 1
    assert 0.3 < structure.edge_agreement(_square(24), _square(20)) < 0.8  # both horizontal edges
    assert structure.edge_agreement(_square(20) // 4, _square(20)) == 1  # not contrast
    blank = np.zeros((40, 60, 3), np.uint8)
    assert structure.edge_agreement(blank, blank) == 1
    assert structure.edge_agreement(blank, _square(20)) == 0


def test_cfsd_by_hand() -> None:
    """Two positions: the same features, or orthogonal ones."""
    same = torch.tensor([[[[1.0, 2.0]], [[0.0, 0.0]]]])  # cosines 1, 1: softmax 1/2, 1/2
    apart = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])  # cosines 1, 0: softmax p, 1 - p
    p = np.e / (np.e + 1)
    forward = p * np.log(2 * p) + (1 - p) * np.log(2 * (1 - p))
    assert structure.cfsd(same, apart) == pytest.approx(forward)
    assert structure.cfsd(apart, same) == pytest.approx(-np.log(4 * p * (1 - p)) / 2)
    assert structure.cfsd(apart, 5 * apart) == pytest.approx(0, abs=1e-6)


def test_cfsd_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = torch.randn(2, 1, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    whole = structure.cfsd(one, other)
    monkeypatch.setattr(structure, "CHUNK", 7)
    assert structure.cfsd(one, other) == pytest.approx(whole, rel=1e-5)


def test_patch_distance_is_about_texture_not_place() -> None:
    gravel = pixels("gravel", 192)
    halves = gravel[:, :96], gravel[:, 96:]
    same_texture = similarity.patch_distance(halves[0], halves[1])
    other_texture = similarity.patch_distance(pixels("brick", 96), halves[1])
    assert similarity.patch_distance(gravel, gravel) == 0
    assert same_texture < 0.35 * other_texture
    assert similarity.psnr(halves[0], halves[1]) < 15  # though no pixel is the same


def test_patch_distance_grows_with_noise_and_takes_any_size() -> None:
    style = pixels("waves", 128)
    noisy = [
        np.clip(style + np.random.default_rng(0).normal(0, sigma, style.shape), 0, 255)
        for sigma in (0, 10, 30, 90)
    ]
    distances = [similarity.patch_distance(image.astype(np.uint8), style) for image in noisy]
    assert distances == sorted(distances)
    assert distances[1] > 0
    smaller = similarity.patch_distance(pixels("waves", 80), style)
    assert smaller < 0.5 * similarity.patch_distance(pixels("brick", 128), style)


def test_quantiles_give_the_wasserstein_distance() -> None:
    """In one direction the mean difference of quantiles is SciPy's 1-Wasserstein distance."""
    rng = np.random.default_rng(1)
    one = rng.normal(0, 1, (30, 40, 3)).astype(np.float32)
    other = rng.normal(0.5, 2, (35, 30, 3)).astype(np.float32)
    direction = rng.standard_normal((similarity.PATCH**2 * 3, 1)).astype(np.float32)

    def projected(level: NDArray[np.float32]) -> NDArray[np.float32]:
        side = similarity.PATCH
        rows, columns = level.shape[0] - side + 1, level.shape[1] - side + 1
        patches = [
            # channels first, as the windows are
            level[y : y + side, x : x + side].transpose(2, 0, 1).ravel()
            for y in range(rows)
            for x in range(columns)
        ]
        return np.array(patches) @ direction[:, 0]

    ours, theirs = (similarity._quantiles(level, direction) for level in (one, other))
    expected = wasserstein_distance(projected(one), projected(other))
    assert np.abs(ours - theirs).mean() == pytest.approx(expected, rel=5e-3)


def test_the_style_itself_and_the_content_itself(metrics: Metrics) -> None:
    content, style = picture("chelsea"), picture("waves")
    found = metrics.measure(content, content, [as_style(style)])
    assert found["psnr"] == 99
    assert found["content_distance"] == found["cfsd"] == 0
    assert found["edge_agreement"] == 1
    assert found["gram_distance"] > 0.2
    found = metrics.measure(style, None, [as_style(style)])
    assert found.pop("spectrum_distance") == pytest.approx(0, abs=1e-6)
    assert found == {"gram_distance": 0, "colour_distance": 0, "patch_distance": 0}
    assert set(metrics.measure(content, content)) == {
        "psnr",
        "ssim",
        "roughness",
        "stroke_size",
        "content_distance",
        "cfsd",
        "edge_agreement",
        "chroma_difference",
    }


def test_spectrum_distance_by_hand(metrics: Metrics) -> None:
    """A picture moved around has the same spectrum; grey differs by the variance of the style."""
    style = picture("waves", 32)
    pixels = np.asarray(style)
    moved = Image.fromarray(np.roll(pixels, (5, 11), axis=(0, 1)))
    found = metrics.measure(moved, None, [as_style(style)])
    assert found["spectrum_distance"] == pytest.approx(0, abs=1e-5)
    mean = np.broadcast_to(pixels.mean(axis=(0, 1)).round(), pixels.shape).astype(np.uint8)
    found = metrics.measure(Image.fromarray(mean), None, [as_style(style)])
    assert found["spectrum_distance"] == pytest.approx(1, abs=1e-3)


def test_gram_distance_by_hand(metrics: Metrics) -> None:
    result, style = picture("coffee", 32), picture("mosaic", 32)
    network = VGG(embedded(), "vgg19", architecture.conv_names("vgg19"))

    def grams(image: Image.Image) -> list[NDArray[np.float64]]:
        tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255
        found = []
        for layer in architecture.conv_names("vgg19"):
            features = network(tensor)[layer][0].flatten(1).double().numpy()
            found.append(features @ features.T / features.size)
        return found

    terms = [
        np.square(ours - theirs).sum() / np.square(theirs).sum()
        for ours, theirs in zip(grams(result), grams(style), strict=True)
    ]
    assert len(terms) == 16
    found = metrics.measure(result, result, [as_style(style)])
    assert found["gram_distance"] == pytest.approx(np.mean(terms), rel=1e-4)
    assert found["combined_distance"] == pytest.approx(
        (1 + found["content_distance"]) * (1 + found["patch_distance"])
    )


@pytest.mark.parametrize("lightness", [50, 30])
def test_chroma_difference_by_hand(lightness: float) -> None:
    """Sharma et al. 2005, table 1: 4.3065 between (50, 2.5, 0) and (50, 0, -2.5)."""

    def coloured(*lab: float) -> NDArray[np.uint8]:
        return (lab2rgb(np.full((4, 4, 3), lab)) * 255).round().astype(np.uint8)

    one, other = coloured(lightness, 0, -2.5), coloured(50, 2.5, 0)
    assert structure.chroma_difference(one, other) == pytest.approx(4.3065, abs=0.5)  # 8 bits
    assert structure.chroma_difference(one, one) == 0


def test_seam_of_results_that_wrap_around(metrics: Metrics) -> None:
    style = picture("waves", 32)
    found = metrics.measure(style, None, [as_style(style)], wraps=True)
    assert found["seam"] == seam(np.asarray(style)) > 1
    tiny = Image.new("RGB", (2, 16), "red")
    assert "seam" not in metrics.measure(tiny, None, [as_style(style)], wraps=True)


def test_tiny_pictures_are_measured_as_far_as_they_go(metrics: Metrics) -> None:
    tiny = Image.new("RGB", (4, 4), "red")
    found = metrics.measure(tiny, tiny, [as_style(tiny)])
    assert found["gram_distance"] == 0
    assert "patch_distance" not in found


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (9, 2)])
def test_pictures_of_a_pixel_or_two_have_no_neighbours(
    metrics: Metrics, size: tuple[int, int]
) -> None:
    tiny = Image.new("RGB", size, "red")
    found = metrics.measure(tiny, tiny, [as_style(tiny)])
    assert found["psnr"] == 99
    assert found["gram_distance"] == 0
    assert not {"ssim", "roughness", "stroke_size"} & found.keys()
