"""Each loss: its value on a case worked out by hand, and its gradient by finite differences."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nst import losses
from tests.helpers import module, prepared, tiny_run

STYLE = (
    losses.Gram(),
    losses.Moments(),
    losses.Wasserstein(),
    losses.SlicedWasserstein(),
    losses.Nearest(),
    losses.RelaxedEMD(),
    losses.Cross(),
)
CONTENT = (losses.Features(), losses.SelfSimilarity())
PERMUTED = (*STYLE[:6], losses.SlicedWasserstein(draw=1))

DEEP = {"channels": 3, "height": 2, "width": 3}
"""Features of a next layer, at half the height and width of those of ``_features``."""


def _features(
    loss: losses.Loss, seed: int, count: int = 2, like: dict[str, int] | None = None
) -> list[Tensor]:
    """Random float64 features of each layer of a term of the loss."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [{"channels": 4, "height": 4, "width": 6, **(like or {})}, DEEP]
    count_of_layers = len(next(iter(loss.terms(["conv1_1", "conv2_1"]).values())))
    return [
        torch.randn(count, *shape.values(), generator=generator, dtype=torch.float64)
        for shape in shapes[:count_of_layers]
    ]


def _value(loss: losses.Loss, own: list[Tensor], target: list[Tensor]) -> Tensor:
    """The distance of images from the first of the targets, or each from its own."""
    positions = own[0][0, 0].numel()
    prepared = [loss.prepare(loss.describe(*parts), positions) for parts in _single(target)]
    return loss.distance(loss.describe(*own), torch.cat(prepared))


def _single(features: list[Tensor]) -> list[list[Tensor]]:
    return [[each[index : index + 1] for each in features] for index in range(len(features[0]))]


def _named(loss: losses.Loss) -> str:
    return type(loss).__name__


@pytest.mark.parametrize("loss", [*STYLE, *CONTENT], ids=_named)
def test_gradients_match_finite_differences(loss: losses.Loss) -> None:
    own = [each.requires_grad_() for each in _features(loss, 0)]
    target = _features(loss, 1)
    assert torch.autograd.gradcheck(lambda *each: _value(loss, list(each), target), own)


@pytest.mark.parametrize("loss", [*STYLE, *CONTENT], ids=_named)
def test_the_loss_of_a_picture_against_itself_is_zero(loss: losses.Loss) -> None:
    own = _features(loss, 0)
    torch.testing.assert_close(_value(loss, own, own), torch.zeros(2).double(), atol=1e-9, rtol=0)
    other = _features(loss, 1)
    assert (_value(loss, own, other) > 1e-3).all()


@pytest.mark.parametrize("loss", [*STYLE, *CONTENT], ids=_named)
def test_images_of_a_batch_are_independent(loss: losses.Loss) -> None:
    own, target = _features(loss, 0, 3), _features(loss, 1, 3)
    alone = [
        _value(loss, one, other) for one, other in zip(_single(own), _single(target), strict=True)
    ]
    torch.testing.assert_close(_value(loss, own, target), torch.cat(alone))


@pytest.mark.parametrize("loss", PERMUTED, ids=_named)
def test_positions_do_not_matter_to_a_style_loss(loss: losses.Loss) -> None:
    (own,), target = _features(loss, 0), _features(loss, 1)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(2))
    mixed = own.flatten(2)[..., order].reshape(own.shape)
    torch.testing.assert_close(_value(loss, [mixed], target), _value(loss, [own], target))
    # nor does the size of the style
    larger = _features(loss, 1, like={"height": 8, "width": 5})
    assert _value(loss, [own], larger).shape == (2,)


@pytest.mark.parametrize("loss", [*STYLE, *CONTENT], ids=_named)
def test_every_loss_is_one_float32_value_per_image(loss: losses.Loss) -> None:
    own, target = _features(loss, 0, 3), _features(loss, 1, 3)
    exact = _value(loss, own, target)
    rough = [[each.to(torch.bfloat16) for each in part] for part in (own, target)]
    value = _value(loss, *rough)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, exact.float(), rtol=0.1, atol=0.02)
    assert losses.total_variation(torch.rand(3, 3, 5, 6)).shape == (3,)


@pytest.mark.parametrize("loss", [*STYLE, *CONTENT], ids=_named)
def test_an_image_without_features_has_a_finite_loss_and_gradient(loss: losses.Loss) -> None:
    own = [torch.zeros_like(each).requires_grad_() for each in _features(loss, 0)]
    value = _value(loss, own, _features(loss, 1))
    assert value.isfinite().all()
    assert all(each.isfinite().all() for each in torch.autograd.grad(value.sum(), own))


@pytest.mark.parametrize("loss", [*STYLE, *CONTENT], ids=_named)
def test_the_loss_of_an_image_that_is_not_finite_is_not_finite(loss: losses.Loss) -> None:
    """A run that diverges, beside one that does not."""
    own, target = _features(loss, 0), _features(loss, 1)
    for each in own:
        each[0, 0, 0, 0] = torch.nan
    own = [each.requires_grad_() for each in own]
    value = _value(loss, own, target)
    assert value.isfinite().tolist() == [False, True]
    for gradient in torch.autograd.grad(value.sum(), own):
        assert gradient[1].isfinite().all()


def test_gram_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # N=1, C=2, H=1, W=2
    expected = torch.tensor([[[5.0, 11.0], [11.0, 25.0]]]) / (2 * 1 * 2)
    torch.testing.assert_close(losses.gram_matrix(features), expected)


def test_values_by_hand() -> None:
    a, b = torch.zeros(2, 1, 2, 2), torch.ones(2, 1, 2, 2)
    b[1] = 3
    assert losses.Features().distance(a, b).tolist() == [1.0, 9.0]
    assert losses.Gram().distance(a[:, 0], b[:, 0]).tolist() == [1.0, 9.0]
    ramp = torch.arange(3.0).expand(1, 3, 3, 3)  # 1 from column to column, 0 from row to row
    assert losses.total_variation(ramp).tolist() == [1.0]
    assert torch.autograd.gradcheck(
        losses.total_variation, torch.rand(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    )


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
    expected = 2 * values["content"] + 1.5e5 * values["style"] + 10 * values["tv"]
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
    torch.testing.assert_close(total, layers["relu5_1"], rtol=1e-5, atol=0)
    total, layers = style("gatys")
    channels = {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256, "relu4_1": 512, "relu5_1": 512}
    expected = sum(1e3 / channels[name] ** 2 * value for name, value in layers.items()) / 5
    torch.testing.assert_close(total, expected, rtol=1e-5, atol=0)
