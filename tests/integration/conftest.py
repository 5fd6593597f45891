"""What tests of runs in this process may use."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torchmetrics.functional.image import dists
from torchvision import models

from nst.metrics import learned
from nst.runner import resolve
from tests.helpers import tiny


@pytest.fixture
def tiny_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every config, whatever source it names, resolves to the weights ``tiny``."""
    monkeypatch.setattr(resolve, "_load_weights", lambda *given: tiny())


def _features() -> nn.Sequential:
    """The convolutions of VGG-16, without the half gigabyte of its classifier."""
    return models.vgg.make_layers(models.vgg.cfgs["D"])


@pytest.fixture(scope="session")
def _hub(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A cache of PyTorch's with random convolutions of VGG-16 in half precision, and their name."""
    torch.manual_seed(0)
    home = tmp_path_factory.mktemp("torch")
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(_features().half().state_dict(), folder / "new.pth")
    sha256 = hashlib.sha256((folder / "new.pth").read_bytes()).hexdigest()
    name = f"vgg16-{sha256[:8]}.pth"
    (folder / "new.pth").rename(folder / name)
    return home, name


@pytest.fixture
def vgg16_file(_hub: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that torchvision loads as VGG-16, through its own code: small and random."""
    home, name = _hub

    def vgg16(weights: models.VGG16_Weights) -> SimpleNamespace:
        features = _features()
        features.load_state_dict(weights.get_state_dict(check_hash=True))
        return SimpleNamespace(features=features)

    monkeypatch.setenv("TORCH_HOME", str(home))
    monkeypatch.setattr(models.VGG16_Weights.DEFAULT.value, "url", f"https://localhost/{name}")
    for module in (models, dists):
        monkeypatch.setattr(module, "vgg16", vgg16)
    learned.networks.cache_clear()
    yield home / "hub" / "checkpoints" / name
    learned.networks.cache_clear()
