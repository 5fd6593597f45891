"""The feature extractor against torchvision's, and its names, cuts and scalings."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import nn
from torchvision import models

from nst import images
from nst.vgg import architecture, weights
from nst.vgg.calibration import PHOTOS, SIZE, activation_means
from nst.vgg.network import VGG, L2Pool
from tests.helpers import embedded, first_of


def _random(backbone: str) -> tuple[nn.Sequential, weights.Weights]:
    torch.manual_seed(0)
    peer = getattr(models, backbone)(weights=None).features.eval()
    convolutions = [
        (layer.weight.detach(), cast(torch.Tensor, layer.bias).detach())
        for layer in peer
        if isinstance(layer, nn.Conv2d)
    ]
    unit = weights.Weights(convolutions, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "none")
    return peer, unit


@pytest.mark.parametrize("backbone", ["vgg16", "vgg19"])
def test_features_equal_torchvisions(backbone: str) -> None:
    peer, unit = _random(backbone)
    names = architecture.conv_names(backbone)
    assert len(names) == {"vgg16": 13, "vgg19": 16}[backbone]
    taps = [*names, *(name.replace("conv", "relu") for name in names)]
    image = torch.rand(2, 3, 40, 48)
    ours = VGG(unit, backbone, taps)(image)
    x, convs, relus = image, iter(names), iter(names)
    for layer in peer:
        x = layer.forward(x) if not isinstance(layer, nn.ReLU) else torch.relu(x)
        if isinstance(layer, nn.Conv2d):
            torch.testing.assert_close(ours[next(convs)], x, rtol=1e-4, atol=1e-5)
        elif isinstance(layer, nn.ReLU):
            name = next(relus).replace("conv", "relu")
            torch.testing.assert_close(ours[name], x, rtol=1e-4, atol=1e-5)


def test_a_tap_before_its_relu_keeps_negative_values() -> None:
    features = VGG(embedded(), "vgg19", ["conv4_2", "conv5_1"])(torch.rand(1, 3, 64, 64))
    assert features["conv4_2"].min() < 0


def test_cut_after_the_deepest_tap_and_frozen() -> None:
    network = VGG(embedded(), "vgg19", ["conv1_1", "conv3_1"])
    assert list(network.layers)[-1] == "conv3_1"
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_names() -> None:
    assert [architecture.canonical(f"conv_{n}", "vgg19") for n in (1, 2, 5, 9, 13, 16)] == [
        "conv1_1",
        "conv1_2",
        "conv3_1",
        "conv4_1",
        "conv5_1",
        "conv5_4",
    ]
    assert architecture.canonical("relu_3", "vgg19") == "relu2_1"
    assert architecture.canonical("relu4_2", "vgg19") == "relu4_2"
    for wrong in ("conv_17", "conv_0", "conv6_1", "relu2_3", "pool1", "", "conv4"):
        with pytest.raises(ValueError, match=r"16 convolutions are conv1_1, .*conv5_4") as caught:
            architecture.canonical(wrong, "vgg19")
        assert str(caught.value).startswith(wrong)
    with pytest.raises(ValueError, match="13 convolutions"):
        architecture.canonical("conv3_4", "vgg16")


@pytest.mark.parametrize("pooling", first_of(["max", "average", "l2"]))
def test_activation_normalisation_makes_the_mean_activation_one(pooling: str) -> None:
    loaded = embedded()
    means = activation_means(loaded, "vgg19", pooling)
    taps = ["relu1_1", "relu2_2", "relu3_1", "relu5_4"]
    network = VGG(loaded, "vgg19", taps, pooling, activation_means=means)
    sums = dict.fromkeys(taps, 0.0)
    with torch.no_grad():
        for name in PHOTOS:
            photo = images.load(f"builtin:{name}", "")
            tensor = images.to_tensor(photo, *images.fit(photo.image.size, SIZE))
            for tap, value in network(tensor[None]).items():
                sums[tap] += value.mean().item() / len(PHOTOS)
    assert list(sums.values()) == pytest.approx([1.0] * 4, rel=1e-3)


def test_normalising_only_rescales_each_layer() -> None:
    loaded = embedded()
    means = activation_means(loaded, "vgg19", "max")
    image = torch.rand(1, 3, 48, 48)
    taps = ["conv1_1", "conv3_1"]
    plain = VGG(loaded, "vgg19", taps)(image)
    scaled = VGG(loaded, "vgg19", taps, activation_means=means)(image)
    for tap, index in (("conv1_1", 0), ("conv3_1", 4)):
        torch.testing.assert_close(scaled[tap] * means[index], plain[tap], rtol=1e-3, atol=1e-2)


def test_the_embedded_network_sees() -> None:
    """Real weights: features of a photo tell it from its mirror image less than from another."""
    network = VGG(embedded(), "vgg19", ["relu5_1"])
    cat, cup = (images.load(f"builtin:{name}", "") for name in ("chelsea", "coffee"))
    one = images.to_tensor(cat, 128, 192)[None]
    other = images.to_tensor(cup, 128, 192)[None]

    def code(image: torch.Tensor) -> torch.Tensor:
        return network(image)["relu5_1"].mean(dim=(2, 3))

    near = torch.cosine_similarity(code(one), code(one.flip(3))).item()
    far = torch.cosine_similarity(code(one), code(other)).item()
    assert near > 0.95
    assert far < near - 0.2


def test_l2_pooling_is_the_root_of_the_mean_square() -> None:
    """Where a window is 0, its gradient is 0 too."""
    x = torch.rand(2, 3, 4, 6).mul(2)
    x[:, :, :2, :2] = 0
    x.requires_grad_()
    pooled = L2Pool(2)(x)
    windows = x.unfold(2, 2, 2).unfold(3, 2, 2)
    torch.testing.assert_close(pooled, windows.square().mean((-1, -2)).sqrt())
    pooled.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert not x.grad[:, :, :2, :2].any()
    torch.testing.assert_close(L2Pool(2)(3 * x), 3 * pooled)  # activations may be scaled


def test_padding_and_pooling_change_the_features() -> None:
    loaded, image = embedded(), torch.rand(1, 3, 32, 32)
    plain = VGG(loaded, "vgg19", ["conv2_1"])(image)["conv2_1"]
    framed = VGG(loaded, "vgg19", ["conv2_1"], padding="replicate")(image)["conv2_1"]
    average = VGG(loaded, "vgg19", ["conv2_1"], pooling="average")(image)["conv2_1"]
    torch.testing.assert_close(
        plain[..., 4:-4, 4:-4], framed[..., 4:-4, 4:-4], rtol=1e-4, atol=0.05
    )
    assert not torch.allclose(plain[..., 0, :], framed[..., 0, :])
    assert not torch.allclose(plain, average)
