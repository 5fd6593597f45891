"""An image that starts from the content gets the content's detail when it grows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nst import images
from nst.runner.signature import signature
from nst.transfer.resampling import resampled
from nst.transfer.run import Run
from tests.helpers import assert_each_as_alone, module, tiny_run

COMMON = (
    *("image.size=32", "steps=4", "layers.style=[conv1_1,conv2_1]", "layers.content=[conv2_2]"),
    *("schedule=pyramid", "schedule.sizes=[0.5,1]", "schedule.steps=[1,1]"),
)
DETAIL = "schedule.detail=true"


def _grown(run: Run, image: Tensor | None = None) -> Tensor:
    """What an image, by default the initial one, becomes at the next scale, (3, H, W)."""
    made = module([run])
    start = made.image.detach().clone() if image is None else image
    made.training_step(0, 0)  # a scale ends after a step
    made.image.data.copy_(start)
    made._enter(made.scales[1])
    return made.image.detach()[0]


@pytest.mark.parametrize("colour", ["none", "keep_luminance"])
def test_an_unchanged_image_is_the_content_again(colour: str) -> None:
    run = tiny_run(*COMMON, DETAIL, f"colour={colour}")
    assert run.optimised_content is not None
    content = images.to_tensor(run.optimised_content, *run.shape(run.scales[1]))
    torch.testing.assert_close(_grown(run), content, rtol=0, atol=1e-5)
    without = _grown(tiny_run(*COMMON, f"colour={colour}"))
    assert (without - content).abs().mean() > 0.01


def test_what_was_optimised_stays() -> None:
    """The image grows as without it, plus what the content lost when it was reduced."""
    run = tiny_run(*COMMON, DETAIL)
    assert run.optimised_content is not None
    small, large = (images.to_tensor(run.optimised_content, *run.shape(s)) for s in run.scales)
    generator = torch.Generator().manual_seed(0)
    image = (small / 2 + torch.rand(small.shape, generator=generator) / 2)[None]
    shape = run.shape(run.scales[1])
    lost = large - resampled(small[None], shape)[0]
    wanted = (resampled(image, shape)[0] + lost).clamp(0, 1)
    torch.testing.assert_close(_grown(run, image), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("init", ["init=noise", "init=style", "init=blend"])
def test_other_initial_images_have_none(init: str) -> None:
    own, other = (tiny_run(*COMMON, init, *more) for more in ((), (DETAIL,)))
    torch.testing.assert_close(_grown(own), _grown(other), rtol=0, atol=0)
    assert signature(own) == signature(other)


def test_it_is_in_the_signature_of_what_it_changes() -> None:
    assert signature(tiny_run(*COMMON)) != signature(tiny_run(*COMMON, DETAIL))
    single = ("schedule=single", "image.size=32")
    assert signature(tiny_run(*single)) == signature(tiny_run(*single, DETAIL))


def test_a_batch() -> None:
    assert_each_as_alone(
        [
            tiny_run(*COMMON, DETAIL, *own)
            for own in (["seed=1"], ["init=noise"], ["style=grass", "colour=keep_luminance"])
        ]
    )
