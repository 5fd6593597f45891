"""The structured config: every key that ``nst`` takes, with its type."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, get_type_hints

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from nst.config.experiment import ExperimentConfig

CONTENT_TASKS = ("style_transfer", "content_reconstruction")
STYLE_TASKS = ("style_transfer", "texture_synthesis")
TASKS = ("style_transfer", "content_reconstruction", "texture_synthesis")
INITS = ("noise", "content", "style", "blend", "file")
PRECISIONS = ("auto", "32", "bf16")
LAYER_RULES = ("equal", "gatys")
COMPILE_MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
FILE = {"file": True}
"""Metadata of a field that takes the name of a file; see ``file_keys``."""


def _env(name: str, default: Any) -> Any:
    """``${nst.env:NAME,default}``: unlike ``oc.env``, an empty variable counts as not set."""
    return os.environ.get(name) or default


OmegaConf.register_new_resolver("nst.env", _env, replace=True)  # here, for workers of launchers


@dataclass
class ContentConfig:
    """A file, or ``builtin:NAME``; or with ``source`` two of them blended (``nst.images.poisson``).

    ``position`` is where the source's centre lies, as fractions of the target's width and height;
    ``scale`` is the source's width over the target's, null: both keep their pixels.
    """

    path: str | None = field(default=None, metadata=FILE)
    source: str | None = field(default=None, metadata=FILE)
    target: str | None = field(default=None, metadata=FILE)
    mask: str | None = field(default=None, metadata=FILE)
    position: list[float] = field(default_factory=lambda: [0.5, 0.5])
    scale: float | None = None
    gradients: str = "plain"


@dataclass
class StyleConfig:
    """A file, or ``builtin:NAME``; ``size`` is its shorter side in px, null: ``image.size``."""

    path: str = field(default=MISSING, metadata=FILE)
    size: int | None = None


@dataclass
class LayersConfig:
    content: list[str] = MISSING
    style: list[str] = MISSING


@dataclass
class LayerWeightsConfig:
    """A rule (``equal``, ``gatys``) or one number per layer, in the order of the layer set."""

    content: Any = "equal"
    style: Any = "equal"


@dataclass
class WeightsConfig:
    content: float = MISSING
    style: float = MISSING
    tv: float = 0.0


@dataclass
class InitConfig:
    """Where the image starts; which of the fields count depends on ``name``."""

    name: str = MISSING
    kind: str = "uniform"
    mean: float = 0.5
    std: float = 0.25
    noise: float = 0.5
    path: str | None = field(default=None, metadata=FILE)


@dataclass
class NormalizeConfig:
    activations: bool = True
    layers: str = "mean"


@dataclass
class BackboneConfig:
    name: str = MISSING
    source: str = MISSING
    path: str | None = field(default=None, metadata=FILE)
    sha256: str | None = None
    order: str = "rgb"
    pooling: str = "max"
    padding: str = "zeros"
    tiling: str = "auto"


@dataclass
class ScheduleConfig:
    """Scales from coarse to fine, as fractions of ``image.size`` and of ``steps``.

    ``style`` are the fractions of ``weights.style`` that count at the scales; None: all of it.
    ``precise`` is the share of the last scale's steps, its last ones, that are in float32 whatever
    the precision.
    """

    name: str = MISSING
    sizes: list[float] = MISSING
    steps: list[float] = MISSING
    style: list[float] | None = None
    precise: float = 0.0


@dataclass
class ImageConfig:
    size: int = MISSING


@dataclass
class RunConfig:
    """What ``nst`` finds out about a run; configs of loggers may refer to it."""

    signature: str | None = None
    folder: str | None = None
    name: str | None = None
    group: str | None = None
    tags: list[str] | None = None
    wandb_id: str | None = None
    overrides: list[str] | None = None


@dataclass
class Config:
    """Every key that ``nst`` takes."""

    task: str = MISSING
    content: ContentConfig = field(default_factory=ContentConfig)
    style: StyleConfig = field(default_factory=StyleConfig)
    image: ImageConfig = field(default_factory=ImageConfig)
    layers: LayersConfig = field(default_factory=LayersConfig)
    layer_weights: LayerWeightsConfig = field(default_factory=LayerWeightsConfig)
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    normalize: NormalizeConfig = field(default_factory=NormalizeConfig)
    init: InitConfig = field(default_factory=InitConfig)
    seed: int = 0
    steps: int = MISSING
    optimizer: Any = MISSING
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    precision: str = "auto"
    compile: str | None = None
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    snapshot_every: int = MISSING
    checkpoint_seconds: float = MISSING
    divergence: float | None = MISSING
    outputs: str = MISSING
    force: bool = False
    retry: str | None = None
    trainer: Any = MISSING
    logger: Any = None
    experiment: ExperimentConfig = field(default_factory=ExperimentConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def asdict(self) -> dict[str, Any]:
        """Plain containers, for YAML, trackers and checkpoints."""
        return asdict(self)

    @property
    def uses_content(self) -> bool:
        """Whether the task has a content loss."""
        return self.task in CONTENT_TASKS

    @property
    def uses_style(self) -> bool:
        """Whether the task has a style loss."""
        return self.task in STYLE_TASKS


def register() -> None:
    """Makes the schema known to Hydra as ``schema``."""
    ConfigStore.instance().store(name="schema", node=Config)


@cache
def file_keys() -> frozenset[str]:
    """Keys that take the name of a file: ``content.path``, ``content.mask`` and so on."""
    found = []
    for group, node in get_type_hints(Config).items():
        for item in getattr(node, "__dataclass_fields__", {}).values():
            if item.metadata.get("file"):
                found.append(f"{group}.{item.name}")
    return frozenset(found)
