"""Mean activations of a backbone over a fixed set of photos, for activation normalisation.

``python -m nst.vgg.calibration`` measures the embedded weights and writes ``activation_means.json``
beside this file. Other weights are measured when they are used.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import torch

from nst import images
from nst.vgg.architecture import POOLINGS, conv_names
from nst.vgg.network import VGG
from nst.vgg.weights import Weights, load

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "china", "flower")
SIZE = 256  # shorter side, px
_TABLE = "activation_means.json"


def activation_means(weights: Weights, backbone: str, pooling: str) -> list[float]:
    """Mean ReLU output of every convolution, from the table, or measured in seconds."""
    table = json.loads(resources.files("nst.vgg").joinpath(_TABLE).read_text(encoding="utf-8"))
    shipped = table.get(weights.sha256, {}).get(pooling)
    return shipped if shipped is not None else measure(weights, backbone, pooling)


@torch.no_grad()
def measure(weights: Weights, backbone: str, pooling: str) -> list[float]:
    """Mean of each ReLU's output over ``PHOTOS``, channels and positions; deepest layer last."""
    taps = [name.replace("conv", "relu") for name in conv_names(backbone)]
    network = VGG(weights, backbone, taps, pooling)
    sums = torch.zeros(len(taps), dtype=torch.float64)
    for name in PHOTOS:
        photo = images.load(images.BUILTIN + name, "calibration")
        tensor = images.to_tensor(photo, *images.fit(photo.image.size, SIZE))
        features = network(tensor[None])
        # Later ReLUs are in place, but each changes only the output of its own convolution.
        sums += torch.tensor([features[tap].double().mean().item() for tap in taps])
    return [float(f"{value:.6g}") for value in sums / len(PHOTOS)]


def main() -> None:
    """Writes the table."""
    weights = load("vgg19", "embedded", None, None, "rgb")
    means = {pooling: measure(weights, "vgg19", pooling) for pooling in POOLINGS}
    path = Path(__file__).with_name(_TABLE)
    path.write_text(json.dumps({weights.sha256: means}, indent=1) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
