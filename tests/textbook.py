"""The widely taught style-transfer loop, written out with nothing of ours but the weights.

VGG-19 cut after the last layer, L-BFGS with a closure that clamps the image, Gram matrices divided
by C·H·W, losses summed over the layers.

``python -m tests.textbook`` is a worker for the benchmarks: a process that imports torch and
nothing of ours, as the loop's users have it. It reads a request per line, ``{"file": …, "steps":
…}``, and answers each with a line: see ``answer``.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# torchvision's vgg19().features: number of output channels, or M for a max pooling
VGG19 = [64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M", 512, 512, 512, 512, "M"]
VGG19 += [512, 512, 512, 512, "M"]


def features(convolutions: list[tuple[Tensor, Tensor]]) -> nn.Sequential:
    """torchvision's layout: convolution, ReLU, ..., pooling."""
    layers: list[nn.Module] = []
    pairs = iter(convolutions)
    for width in VGG19:
        if width == "M":
            layers.append(nn.MaxPool2d(2))
            continue
        weight, bias = next(pairs)
        conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, dtype=weight.dtype)
        conv.load_state_dict({"weight": weight, "bias": bias})
        layers += [conv, nn.ReLU(inplace=False)]
    return nn.Sequential(*layers).eval().requires_grad_(False)


def gram(x: Tensor) -> Tensor:
    a, b, c, d = x.size()
    flat = x.view(a * b, c * d)
    return torch.mm(flat, flat.t()).div(a * b * c * d)


class Textbook:
    """One run of the loop.

    Args:
        convolutions: weight and bias of each, in order.
        mean: of the network's input, per channel.
        std: of the network's input, per channel.
        content: (1, 3, H, W), RGB in [0, 1].
        style: (1, 3, H', W'), RGB in [0, 1].
        content_layers: by number, convolutions counted from 1.
        style_layers: by number.
    """

    def __init__(
        self,
        convolutions: list[tuple[Tensor, Tensor]],
        mean: tuple[float, ...],
        std: tuple[float, ...],
        content: Tensor,
        style: Tensor,
        content_layers: list[int],
        style_layers: list[int],
        content_weight: float = 1.0,
        style_weight: float = 1e6,
    ) -> None:
        self.mean = torch.tensor(mean).view(-1, 1, 1)
        self.std = torch.tensor(std).view(-1, 1, 1)
        self.content_layers, self.style_layers = content_layers, style_layers
        self.content_weight, self.style_weight = content_weight, style_weight
        deepest, count, keep = max(content_layers + style_layers), 0, []
        for layer in features(convolutions):
            keep.append(layer)
            count += isinstance(layer, nn.Conv2d)
            if count == deepest:
                break
        self.network = keep
        self.content_targets = [self.convs(content)[i].detach() for i in content_layers]
        self.style_targets = [gram(self.convs(style)[i]).detach() for i in style_layers]

    def convs(self, image: Tensor) -> dict[int, Tensor]:
        x = (image - self.mean) / self.std
        found: dict[int, Tensor] = {}
        for layer in self.network:
            x = layer(x)
            if isinstance(layer, nn.Conv2d):
                found[len(found) + 1] = x
        return found

    def loss(self, image: Tensor) -> Tensor:
        found = self.convs(image)
        loss = image.new_zeros(())
        for i, target in zip(self.content_layers, self.content_targets, strict=True):
            loss = loss + self.content_weight * F.mse_loss(found[i], target)
        for i, target in zip(self.style_layers, self.style_targets, strict=True):
            loss = loss + self.style_weight * F.mse_loss(gram(found[i]), target)
        return loss

    def run(self, image: Tensor, steps: int) -> tuple[list[float], list[float]]:
        """Optimises ``image`` in place.

        Returns:
            Loss at each of at least ``steps`` evaluations, and the seconds at which each ended.
        """
        image.requires_grad_(True)
        optimizer = torch.optim.LBFGS([image])
        trajectory: list[float] = []
        seconds: list[float] = []
        began = time.perf_counter()

        def closure() -> Tensor:
            with torch.no_grad():
                image.clamp_(0, 1)
            optimizer.zero_grad()
            loss = self.loss(image)
            loss.backward()
            trajectory.append(loss.item())
            seconds.append(time.perf_counter() - began)
            return loss

        while len(trajectory) < steps:
            optimizer.step(closure)
        with torch.no_grad():
            image.clamp_(0, 1)
        return trajectory, seconds


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Runs the loop once.

    Args:
        request: ``file``, a ``torch.save`` of the arguments of ``Textbook`` and of ``image``, where
            to start from; ``steps``, 0 for nothing but the loss of that image.

    Returns:
        ``losses`` and ``seconds`` of every evaluation, ``setup``: seconds before the first,
        ``final``: the loss of the result, ``peak``: bytes of memory that this process had so far.
    """
    given = torch.load(request["file"], weights_only=True)
    image = given.pop("image")
    began = time.perf_counter()
    loop = Textbook(**given)
    setup = time.perf_counter() - began
    losses, seconds = loop.run(image, request["steps"])
    with torch.no_grad():
        final = float(loop.loss(image))
    return {
        "losses": losses,
        "seconds": seconds,
        "setup": setup,
        "final": final,
        "peak": peak_memory(),
    }


def peak_memory() -> int:
    """Bytes of memory that this process had at most.

    Linux counts in ``ru_maxrss`` what the process had before it became this program: a copy of its
    parent. ``VmHWM`` begins with the program.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = [line.split() for line in status.read_text().splitlines()]
        return next(int(line[1]) * 1024 for line in lines if line[0] == "VmHWM:")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    """Answers requests until there are no more."""
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
