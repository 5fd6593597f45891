"""The structured config: every key that ``nst`` takes, its type, and what it affects."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum, auto
from typing import Any

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


class Affects(StrEnum):
    """What the value of a key has an effect on."""

    RESULT = auto()
    """The picture: the key is in the signature, and pages show it where runs differ."""
    BATCH = auto()
    """Only how runs are computed: those of one batch must share it."""
    NEITHER = auto()
    """Neither of them: sweeps and tables ignore the key."""


@dataclass(frozen=True)
class Key:
    """What is declared of a key, in the metadata of its field.

    Attributes:
        affects: what its value has an effect on.
        own: whether each image of a batch may have a value of its own, though it affects the
            result.
        when: whether the key counts under a config; None: always.
        fact: name of what counts in the signature in place of the value as typed, such as the
            pixels of the picture that a path names; see ``nst.runs.signature``.
        neutral: value that has the effect of a config without the key: it is not in the signature,
            so that a key that is new, with this default, changes no signature.
        parts: for a key that holds any mapping, those of its keys that affect something else.
        file: whether it takes the name of a file.
        label: whether it names what its group says: pages show it in place of the keys beside it.
    """

    affects: Affects
    own: bool = False
    when: Callable[[Config], bool] | None = None
    fact: str | None = None
    neutral: Any = None
    parts: Mapping[str, Affects] = field(default_factory=dict)
    file: bool = False
    label: bool = False

    def counts(self, config: Config) -> bool:
        """Whether its value has an effect under this config."""
        return self.when is None or self.when(config)


def key(affects: Affects, default: Any = MISSING, **declared: Any) -> Any:
    """A field of the schema with its ``Key``; a list or an object as default is made anew."""
    metadata = {"key": Key(affects, **declared)}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def result(default: Any = MISSING, **declared: Any) -> Any:
    """A field that affects the result."""
    return key(Affects.RESULT, default, **declared)


def _content(config: Config) -> bool:
    return config.uses_content


def _style(config: Config) -> bool:
    return config.uses_style


def _noise(config: Config) -> bool:
    return config.init.name in ("noise", "blend")


def _gaussian(config: Config) -> bool:
    return _noise(config) and config.init.kind == "gaussian"


def _blend(config: Config) -> bool:
    return config.init.name == "blend"


def _from_file(config: Config) -> bool:
    return config.init.name == "file"


CONTENT = {"own": True, "when": _content}
STYLE = {"own": True, "when": _style}
TRAINER = {"callbacks": Affects.RESULT, "_target_": Affects.RESULT}
"""Nothing else that a Trainer may be given changes the picture: see ``runs/trainer.py``."""


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

    path: str | None = result(None, fact="content", file=True, label=True, **CONTENT)
    source: str | None = result(None, fact="content", file=True, **CONTENT)
    target: str | None = result(None, fact="content", file=True, **CONTENT)
    mask: str | None = result(None, fact="content", file=True, **CONTENT)
    position: list[float] = result(lambda: [0.5, 0.5], fact="content", **CONTENT)
    scale: float | None = result(None, fact="content", **CONTENT)
    gradients: str = result("plain", fact="content", **CONTENT)


@dataclass
class StyleConfig:
    """A file, or ``builtin:NAME``; ``size`` is its shorter side in px, null: ``image.size``."""

    path: str = result(fact="style", file=True, label=True, **STYLE)
    size: int | None = result(None, fact="style.size", **STYLE)


@dataclass
class LayersConfig:
    content: list[str] = result(**CONTENT)
    style: list[str] = result(**STYLE)


@dataclass
class LayerWeightsConfig:
    """A rule (``equal``, ``gatys``) or one number per layer, in the order of the layer set."""

    content: Any = result("equal", **CONTENT)
    style: Any = result("equal", **STYLE)


@dataclass
class WeightsConfig:
    content: float = result(**CONTENT)
    style: float = result(**STYLE)
    tv: float = result(0.0, own=True, neutral=0.0)


@dataclass
class InitConfig:
    """Where the image starts; which of the fields count depends on ``name``."""

    name: str = result(own=True, label=True)
    kind: str = result("uniform", own=True, when=_noise)
    mean: float = result(0.5, own=True, when=_gaussian)
    std: float = result(0.25, own=True, when=_gaussian)
    noise: float = result(0.5, own=True, when=_blend)
    path: str | None = result(None, fact="init", file=True, label=True, own=True, when=_from_file)


@dataclass
class NormalizeConfig:
    activations: bool = result(True)
    layers: str = result("mean", own=True)


@dataclass
class BackboneConfig:
    name: str = result(label=True)
    source: str = result(fact="weights")
    path: str | None = result(None, fact="weights", file=True, label=True)
    sha256: str | None = result(None, fact="weights")
    order: str = result("rgb", fact="weights")
    pooling: str = result("max")
    padding: str = result("zeros")
    tiling: str = key(Affects.BATCH, "auto")


@dataclass
class ScheduleConfig:
    """Scales from coarse to fine, as fractions of ``image.size`` and of ``steps``.

    ``style`` are the fractions of ``weights.style`` that count at the scales; None: all of it.
    ``precise`` is the share of the last scale's steps, its last ones, that are in float32 whatever
    the precision.
    """

    name: str = key(Affects.NEITHER, label=True)
    sizes: list[float] = result(fact="scales")
    steps: list[float] = result(fact="scales")
    style: list[float] | None = result(None, fact="schedule.style", when=_style)
    precise: float = result(0.0, fact="precision")


@dataclass
class ImageConfig:
    size: int = result(fact="scales")


@dataclass
class RunConfig:
    """What ``nst`` finds out about a run; configs of loggers may refer to it."""

    signature: str | None = key(Affects.NEITHER, None)
    folder: str | None = key(Affects.NEITHER, None)
    name: str | None = key(Affects.NEITHER, None)
    group: str | None = key(Affects.NEITHER, None)
    tags: list[str] | None = key(Affects.NEITHER, None)
    wandb_id: str | None = key(Affects.NEITHER, None)
    overrides: list[str] | None = key(Affects.NEITHER, None)


@dataclass
class Config:
    """Every key that ``nst`` takes."""

    task: str = result(own=True)
    content: ContentConfig = field(default_factory=ContentConfig)
    style: StyleConfig = field(default_factory=StyleConfig)
    image: ImageConfig = field(default_factory=ImageConfig)
    layers: LayersConfig = field(default_factory=LayersConfig)
    layer_weights: LayerWeightsConfig = field(default_factory=LayerWeightsConfig)
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    normalize: NormalizeConfig = field(default_factory=NormalizeConfig)
    init: InitConfig = field(default_factory=InitConfig)
    seed: int = result(0, own=True, when=_noise)
    steps: int = result(fact="scales")
    optimizer: Any = result()
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    precision: str = result("auto", fact="precision")
    compile: str | None = key(Affects.BATCH, None)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    snapshot_every: int = key(Affects.BATCH)
    checkpoint_seconds: float = key(Affects.BATCH)
    divergence: float | None = key(Affects.NEITHER)
    outputs: str = key(Affects.NEITHER)
    force: bool = key(Affects.NEITHER, False)
    retry: str | None = key(Affects.NEITHER, None)
    trainer: Any = key(Affects.BATCH, parts=TRAINER, fact="trainer")
    logger: Any = key(Affects.NEITHER, None)
    experiment: ExperimentConfig = key(Affects.NEITHER, ExperimentConfig)
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
