"""Each loss: its value on a case worked out by hand, and its gradient by finite differences."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nst import losses
from tests.helpers import module, prepared, tiny_run


def test_gram_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # N=1, C=2, H=1, W=2
    expected = torch.tensor([[[5.0, 11.0], [11.0, 25.0]]]) / (2 * 1 * 2)
    torch.testing.assert_close(losses.gram_matrix(features), expected)


def test_values_by_hand() -> None:
    a, b = torch.zeros(2, 1, 2, 2), torch.ones(2, 1, 2, 2)
    b[1] = 3
    assert losses.content_loss(a, b).tolist() == [1.0, 9.0]
    assert losses.style_loss(a[:, 0], b[:, 0]).tolist() == [1.0, 9.0]
    ramp = torch.arange(3.0).expand(1, 3, 3, 3)  # 1 from column to column, 0 from row to row
    assert losses.total_variation(ramp).tolist() == [1.0]


def test_every_loss_is_one_float32_value_per_image() -> None:
    features = torch.randn(3, 4, 5, 6, dtype=torch.bfloat16)
    grams = losses.gram_matrix(features)
    for value in (
        losses.content_loss(features, features.flip(0)),
        losses.style_loss(grams, grams.flip(0)),
        losses.total_variation(torch.rand(3, 3, 5, 6)),
    ):
        assert value.shape == (3,)
        assert value.dtype == torch.float32


def test_gradients_match_finite_differences() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    target = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    grams = losses.gram_matrix(target)
    check = torch.autograd.gradcheck
    assert check(lambda t: losses.content_loss(t, target), x)
    assert check(lambda t: losses.style_loss(losses.gram_matrix(t), grams), x)
    assert check(losses.total_variation, x)


def test_gradient_of_the_whole_objective_matches_finite_differences() -> None:
    run = tiny_run("image.size=32", "init=noise", "weights.tv=10")
    made = module([run], torch.float64)
    objective = made.objective
    image = made.image.detach().requires_grad_()
    loss = objective(image)["total"].sum()
    (gradient,) = torch.autograd.grad(loss, image)
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        direction = torch.randn(image.shape, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            h = 1e-6
            ahead = objective(image + h * direction)["total"].sum()
            behind = objective(image - h * direction)["total"].sum()
        slope = (ahead - behind) / (2 * h)
        torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-4, atol=0)


def test_total_is_the_weighted_sum_of_the_terms() -> None:
    run = tiny_run("image.size=32", "init=noise", "weights.content=2", "weights.tv=10")
    values = {name: float(v) for name, v in module([run]).evaluate().items()}
    expected = 2 * values["content"] + 1e5 * values["style"] + 10 * values["tv"]
    torch.testing.assert_close(values["total"], expected, rtol=1e-5, atol=0)
    layers = [value for name, value in values.items() if name.startswith("style/")]
    assert len(layers) == 5
    torch.testing.assert_close(values["style"], sum(layers) / 5, rtol=1e-5, atol=0)


def test_the_magnitude_is_the_total_of_an_image_without_features(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every feature times 0; all tasks in a batch, at a scale with half of the style weight."""
    tasks = ("style_transfer", "content_reconstruction", "texture_synthesis")
    picture = "style.path=builtin:chelsea"  # as the content, so that the shapes agree
    scale = ("image.size=64", "schedule=pyramid", "schedule.style=[0.5,1,1]")
    common = ("init=noise", picture, *scale)
    own = ("layers.content=[conv2_1]", "layers.style=[conv1_1]", "layer_weights=gatys")
    runs = [tiny_run(f"task={task}", *common) for task in tasks]
    made = module([*runs, tiny_run(*common, *own)])
    objective = made.objective
    plain = objective.backbone.read

    def read(image: Tensor, reader: Any) -> Any:
        return plain(image, lambda layer, each, strip: reader(layer, 0 * each, strip))

    monkeypatch.setattr(objective.backbone, "read", read)
    total = objective(torch.full_like(made.image, 0.5))["total"]  # no variation, which counts too
    torch.testing.assert_close(objective.magnitude, total, rtol=1e-4, atol=0)
    assert objective.magnitude.min() > 0


def test_textbook_normalisation_sums_over_layers_as_trained() -> None:
    run = prepared("image.size=32", "init=noise", "normalize=textbook")
    values = {name: float(v) for name, v in module([run]).evaluate().items()}
    layers = [value for name, value in values.items() if name.startswith("style/")]
    torch.testing.assert_close(values["style"], sum(layers), rtol=1e-5, atol=0)
    # as trained: no scaling, so the grams are thousands of times up
    report = module([prepared("image.size=32", "init=noise")]).evaluate()
    assert values["style"] > 1e3 * float(report["style"])


def test_layer_weights() -> None:
    def style(rule: str) -> tuple[float, dict[str, float]]:
        run = prepared("image.size=32", "init=noise", f"layer_weights.style={rule}")
        values = {name: float(v) for name, v in module([run]).evaluate().items()}
        return values["style"], {n[6:]: v for n, v in values.items() if n.startswith("style/")}

    total, layers = style("[0,0,0,0,5]")
    torch.testing.assert_close(total, layers["conv5_1"], rtol=1e-5, atol=0)
    total, layers = style("gatys")
    channels = {"conv1_1": 64, "conv1_2": 64, "conv3_1": 256, "conv4_1": 512, "conv5_1": 512}
    expected = sum(1e3 / channels[name] ** 2 * value for name, value in layers.items()) / 5
    torch.testing.assert_close(total, expected, rtol=1e-5, atol=0)
