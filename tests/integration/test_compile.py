"""``compile``: the same losses, in one piece, and nothing kept that a replay would overwrite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, fx
from torch._dynamo.backends.common import aot_autograd
from torch._functorch._aot_autograd.utils import make_boxed_func

from nst.transfer.module import StyleTransfer
from nst.transfer.objective import Objective
from tests.helpers import as_on_a_gpu, first_of, optimise, prepared, tiny_run

LAYERS = ("layers.style=[conv1_1,conv1_2]", "layers.content=[conv1_2]")
SMALL = (*LAYERS, "image.size=32", "steps=9", "precision=32", "weights.tv=1")


class Replayed:
    """Compiles as a CUDA graph would run: results of one call lie where those of the last one lay.

    Attributes:
        graphs: forward passes that were compiled.
    """

    def __init__(self) -> None:
        self.graphs = 0
        self.backend = aot_autograd(fw_compiler=self._forward, bw_compiler=self._replay)

    def _forward(self, graph: fx.GraphModule, inputs: Sequence[Any]) -> Callable[..., Any]:
        self.graphs += 1
        return self._replay(graph, inputs)

    def _replay(self, graph: fx.GraphModule, inputs: Sequence[Any]) -> Callable[..., Any]:
        kept: dict[int, Tensor] = {}

        @torch.no_grad()
        def run(*given: Any) -> list[Any]:
            found = list(graph(*given))
            for index, value in enumerate(found):
                if isinstance(value, Tensor):
                    place = kept.setdefault(index, torch.empty_like(value))
                    found[index] = place.copy_(value).detach()
            return found

        return make_boxed_func(run)


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> Replayed:
    made, compiler = Replayed(), torch.compile
    options = {"dynamic": False, "fullgraph": True}

    def compile_(function: Callable[..., Any], mode: str, **given: object) -> Any:
        assert mode == "reduce-overhead"
        assert given == options
        return compiler(function, backend=made.backend, dynamic=False, fullgraph=True)

    monkeypatch.setattr(torch, "compile", compile_)
    return made


def _module(*overrides: str) -> StyleTransfer:
    runs = [tiny_run(*SMALL, *overrides, f"init={init}") for init in ("noise", "content")]
    return as_on_a_gpu(runs, "32", "cpu")


@pytest.mark.parametrize("optimizer", first_of(["lbfgs", "adam"]))
@pytest.mark.parametrize("schedule", first_of(["pyramid", "single"]))
@pytest.mark.parametrize("padding", ["zeros", "circular"])
def test_the_same_as_without(
    replayed: Replayed, optimizer: str, schedule: str, padding: str
) -> None:
    settings = (f"optimizer={optimizer}", f"schedule={schedule}", f"backbone.padding={padding}")
    plain = optimise(_module(*settings))
    compiled = optimise(_module(*settings, "compile=reduce-overhead"))
    scales = len(prepared(*SMALL, *settings).scales)
    assert replayed.graphs == scales
    for name, losses in plain.items():
        assert torch.equal(compiled[name], losses), name


def test_lightness_alone(replayed: Replayed) -> None:
    kept = "colour=keep_luminance"
    plain, compiled = optimise(_module(kept)), optimise(_module(kept, "compile=reduce-overhead"))
    assert torch.equal(compiled["total"], plain["total"])
    assert replayed.graphs == 1


def test_an_image_that_leaves_the_batch(replayed: Replayed) -> None:
    made = [_module(), _module("compile=reduce-overhead")]
    for each in made:
        optimise(each, 4)
        each.keep([1])
    plain, compiled = (optimise(each, 4) for each in made)
    assert replayed.graphs == 2
    assert torch.equal(compiled["total"], plain["total"])


def test_results_that_are_overwritten_would_be_noticed(
    replayed: Replayed, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = optimise(_module())
    made = _module("compile=reduce-overhead")

    def without_copies(objective: Objective, image: Tensor) -> dict[str, Tensor]:
        compiled = objective._compiled
        return compiled(image) if compiled is not None else objective._losses(image)

    monkeypatch.setattr(Objective, "__call__", without_copies)
    assert not torch.equal(optimise(made)["total"], plain["total"])
