"""The value of each loss against its formula, written out in NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from torch import Tensor

from nst import losses

Array = NDArray[np.float64]


def _random(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    # not centred at 0: a mean that is forgotten shows
    return torch.randn(1, *shape, generator=generator, dtype=torch.float64) + 0.5


def _value(loss: losses.Loss, own: list[Tensor], target: list[Tensor]) -> float:
    positions = own[0][0, 0].numel()
    wanted = loss.prepare(loss.describe(*target), positions)
    (value,) = loss.distance(loss.describe(*own), wanted).tolist()
    return float(value)


def _rows(features: Tensor) -> Array:
    """(1, C, H, W) as (H·W, C)."""
    return features[0].flatten(1).T.numpy()


OWN, TARGET = _random(0, 5, 4, 6), _random(1, 5, 3, 7)
F, S = _rows(OWN), _rows(TARGET)


def _cosine_distance(a: Array, b: Array) -> float:
    return float(1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def _covariance(rows: Array) -> Array:
    return np.cov(rows.T, bias=True)


def test_gram() -> None:
    difference = F.T @ F / F.size - S.T @ S / S.size
    assert _value(losses.Gram(), [OWN], [TARGET]) == pytest.approx((difference**2).mean())


def test_moments() -> None:
    means = F.mean(0) - S.mean(0)
    deviations = np.sqrt(F.var(0) + 1e-5) - np.sqrt(S.var(0) + 1e-5)
    expected = (means**2).mean() + (deviations**2).mean()
    assert _value(losses.Moments(), [OWN], [TARGET]) == pytest.approx(expected)


def test_wasserstein() -> None:
    own, wanted = (_covariance(each) + 1e-4 * np.eye(5) for each in (F, S))
    root = sqrtm(wanted)
    bures = np.trace(own + wanted - 2 * sqrtm(root @ own @ root).real)
    expected = ((F.mean(0) - S.mean(0)) ** 2).mean() + bures / 5
    assert _value(losses.Wasserstein(), [OWN], [TARGET]) == pytest.approx(expected)


def test_wasserstein_of_fewer_positions_than_channels() -> None:
    own, target = _random(0, 9, 2, 2), _random(1, 9, 2, 3)
    covariances = [_covariance(_rows(each)) + 1e-4 * np.eye(9) for each in (own, target)]
    root = sqrtm(covariances[1])
    bures = np.trace(sum(covariances) - 2 * sqrtm(root @ covariances[0] @ root).real)
    means = _rows(own).mean(0) - _rows(target).mean(0)
    expected = (means**2).mean() + bures / 9
    assert _value(losses.Wasserstein(), [own], [target]) == pytest.approx(expected, rel=1e-5)


def test_wasserstein_in_float32_has_the_gradient_of_float64() -> None:
    """With the spread of real features: standard deviations from 1e-3 to 10."""
    spread = torch.logspace(1, -3, 40, dtype=torch.float64)[:, None, None]
    mix = torch.linalg.qr(_random(3, 40, 40)[0])[0]
    own, target = (
        torch.einsum("cd,ndhw->nchw", mix, spread * _random(seed, 40, 12, 12)) for seed in (0, 1)
    )
    gradients: list[Tensor] = []
    for dtype in (torch.float32, torch.float64):
        features = own.to(dtype).requires_grad_()
        loss = losses.Wasserstein()
        value = loss.distance(
            loss.describe(features), loss.prepare(loss.describe(target.to(dtype)), 1)
        )
        gradients += torch.autograd.grad(value.sum(), features)
    rough, exact = gradients
    assert (rough - exact).norm() < 0.01 * exact.norm()


def test_wasserstein_beyond_the_strongest_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variances alone: exact for the style itself, an underestimate of the root otherwise."""
    exact = _value(losses.Wasserstein(), [OWN], [TARGET])
    monkeypatch.setattr("nst.losses.wasserstein.RANK", 3)
    rough = _value(losses.Wasserstein(), [OWN], [TARGET])
    assert rough != exact
    assert rough == pytest.approx(exact, rel=0.3)
    assert _value(losses.Wasserstein(), [OWN], [OWN]) == pytest.approx(0, abs=1e-9)
    values, vectors = np.linalg.eigh(_covariance(S) + 1e-4 * np.eye(5))
    own = vectors.T @ (_covariance(F) + 1e-4 * np.eye(5)) @ vectors
    strong = np.diag(np.sqrt(values[2:]))
    root = np.trace(sqrtm(strong @ own[2:, 2:] @ strong).real)
    root += np.sqrt(np.diag(own)[:2] * values[:2]).sum()
    means = ((F.mean(0) - S.mean(0)) ** 2).mean()
    assert rough == pytest.approx(means + (np.trace(own) + values.sum() - 2 * root) / 5)
    loss = losses.Wasserstein()
    wanted = loss.prepare(loss.describe(TARGET), 1)
    features = OWN.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss.distance(loss.describe(x), wanted), features)


def test_sliced_wasserstein() -> None:
    loss = losses.SlicedWasserstein()
    # the directions: what a unit vector of each channel is projected to
    unit = torch.eye(5, dtype=torch.float64)[:, :, None, None]
    directions = loss.describe(unit)[..., 0].numpy()
    np.testing.assert_allclose(directions @ directions.T, np.eye(5), atol=1e-12)
    own = np.sort(F @ directions, axis=0)
    sorted_style = np.sort(S @ directions, axis=0)
    # 21 values at the middle of 24 shares
    ranks = (np.arange(24) + 0.5) / 24 * 21 - 0.5
    wanted = np.stack([np.interp(ranks, np.arange(21), column) for column in sorted_style.T], 1)
    assert _value(loss, [OWN], [TARGET]) == pytest.approx(((own - wanted) ** 2).mean())


def test_a_draw_of_directions_is_reproducible_and_differs_from_others() -> None:
    values = [
        _value(losses.SlicedWasserstein(seed=seed).drawn(draw), [OWN], [TARGET])
        for seed, draw in ((0, 0), (0, 0), (0, 1), (1, 0))
    ]
    assert values[0] == values[1]
    assert len(set(values)) == 3


def test_nearest() -> None:
    own, wanted = F - F.mean(0), S - S.mean(0)
    distances = []
    for position, feature in enumerate(own):
        nearest = min(range(len(S)), key=lambda index: _cosine_distance(feature, wanted[index]))
        distances.append(_cosine_distance(F[position] - S.mean(0), wanted[nearest]))
    assert _value(losses.Nearest(), [OWN], [TARGET]) == pytest.approx(np.mean(distances))


def test_relaxed_emd() -> None:
    cost = np.array([[_cosine_distance(f, s) for s in S] for f in F])
    moved = max(cost.min(1).mean(), cost.min(0).mean())
    means = np.abs(F.mean(0) - S.mean(0)).mean()
    covariances = np.abs(_covariance(F) - _covariance(S)).mean()
    expected = moved + means + covariances
    assert _value(losses.RelaxedEMD(), [OWN], [TARGET]) == pytest.approx(expected)


@pytest.mark.parametrize("loss", [losses.Nearest, losses.RelaxedEMD])
def test_samples_of_a_style_limit_the_matches(loss: type[losses.Nearest]) -> None:
    few, all_of_them = (_value(loss(samples=most), [OWN], [TARGET]) for most in (4, None))
    assert few > all_of_them
    assert all_of_them == _value(loss(samples=21), [OWN], [TARGET])
    with pytest.raises(ValueError, match="samples=0: must be"):
        loss(samples=0)


def test_matches_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _value(losses.RelaxedEMD(), [OWN], [TARGET])
    monkeypatch.setattr("nst.losses.matching.CHUNK", 5 * 21)  # 5 positions at a time
    assert _value(losses.RelaxedEMD(), [OWN], [TARGET]) == pytest.approx(whole)


@pytest.mark.parametrize("shape", [(5, 4, 6), (5, 5, 7)])  # odd sides: pooling drops the last
def test_cross(shape: tuple[int, int, int]) -> None:
    def gram(shallow: Tensor, deep: Tensor) -> Array:
        repeated = deep[0].numpy().repeat(2, axis=1).repeat(2, axis=2)
        height, width = repeated.shape[1:]
        own = shallow[0, :, :height, :width].numpy()
        product = np.einsum("chw,dhw->cd", own, repeated)
        return product / (np.sqrt(5 * 3) * height * width)

    own, target = [_random(0, *shape), _random(2, 3, 2, 3)], [TARGET, _random(3, 3, 1, 3)]
    expected = ((gram(*own) - gram(*target)) ** 2).mean()
    assert _value(losses.Cross(), own, target) == pytest.approx(expected)


def test_cross_pairs_layers_by_depth() -> None:
    terms = losses.Cross().terms(["conv3_1", "relu1_1", "conv1_2", "conv1_1"])
    assert terms == {
        "conv1_1": ("conv1_1", "relu1_1"),
        "relu1_1": ("relu1_1", "conv1_2"),
        "conv1_2": ("conv1_2", "conv3_1"),
    }
    assert losses.Cross().terms(["conv3_1"]) == {}


def test_features() -> None:
    other = _random(2, 5, 4, 6)
    expected = ((OWN - other) ** 2).mean()
    assert _value(losses.Features(), [OWN], [other]) == pytest.approx(float(expected))


def test_self_similarity() -> None:
    other = _random(2, 5, 4, 6)

    def normalised(rows: Array) -> Array:
        distances = np.array([[_cosine_distance(a, b) for b in rows] for a in rows])
        return distances / distances.sum(0)

    expected = np.abs(normalised(F) - normalised(_rows(other))).sum(0).mean()
    assert _value(losses.SelfSimilarity(), [OWN], [other]) == pytest.approx(expected)
    # every second row and column, from the second: 6 of 24 positions
    some = [_rows(each[:, :, 1::2, 1::2]) for each in (OWN, other)]
    expected = np.abs(normalised(some[0]) - normalised(some[1])).sum(0).mean()
    assert _value(losses.SelfSimilarity(positions=10), [OWN], [other]) == pytest.approx(expected)


def test_spectrum() -> None:
    """Against the projection of Liu et al. 2016, equation 5, and its distance."""
    image, target = _random(0, 3, 6, 8), _random(1, 3, 6, 8)
    own, wanted = np.fft.fft2(image[0].numpy()), np.fft.fft2(target[0].numpy())
    phase = (own * wanted.conj()).sum(0)
    projection = np.fft.ifft2(phase / np.abs(phase) * wanted).real
    expected = ((image[0].numpy() - projection) ** 2).mean()
    assert float(losses.spectrum_distance(image, target)) == pytest.approx(expected)
    # a shifted picture has the same spectrum
    shifted = image.roll((2, 3), (2, 3))
    assert float(losses.spectrum_distance(shifted, image)) == pytest.approx(0, abs=1e-12)
    variable = image.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: losses.spectrum_distance(x, target), variable)
