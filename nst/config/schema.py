"""The structured config: every key with its type, its range and what it affects."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum, auto
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from nst.config.experiment import ExperimentConfig
from nst.utils.errors import listed
from nst.vgg import architecture

CONTENT_TASKS = ("style_transfer", "content_reconstruction")
STYLE_TASKS = ("style_transfer", "texture_synthesis")
TASKS = ("style_transfer", "content_reconstruction", "texture_synthesis")
COLOURS = ("none", "keep_luminance", "match")
INITS = ("noise", "content", "style", "blend", "file")
PRECISIONS = ("auto", "32", "bf16")
LAYER_RULES = ("equal", "gatys")
LEARNED_METRICS = ("lpips", "dists")
COMPILE_MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")


class Affects(StrEnum):
    """What the value of a key changes."""

    RESULT = auto()
    """The picture. The key is in the signature, and pages show it where runs differ."""
    BATCH = auto()
    """Only the computation. The runs of a batch must share the key."""
    NEITHER = auto()
    """Neither. Sweeps and tables ignore the key."""


_DEVICE = r"(?i:con|prn|aux|nul|com\d|lpt\d)(\.|$)"  # no file of Windows has such a name


@dataclass(frozen=True)
class Key:
    """What the schema declares of a key, in the metadata of its field.

    Attributes:
        affects: what its value changes.
        own: whether the images of a batch may differ in it although it affects the result.
        when: whether the key has an effect under a config; None: always.
        fact: what the signature has in place of the value as typed, such as the pixels of the
            picture that a path names; see ``nst.runner.signature.facts``.
        neutral: the value that is left out of the signature, and that runs from before the key
            existed have. A new key with this default changes no existing signature.
        parts: for a key that holds any mapping, those of its keys of which something else holds.
        file: whether it takes the name of a file.
        label: whether it is the name of its group's option: pages show it in place of the keys
            beside it.
        rerun: whether it only says what happens to a run that exists already: the command that a
            page shows for a run omits it.
        one_of: all values that it may have; None: any of its type.
        valid: a test of values that are not null, and the message for one that fails it.
    """

    affects: Affects
    own: bool = False
    when: Callable[[Config], bool] | None = None
    fact: str | None = None
    neutral: Any = None
    parts: Mapping[str, Key] = field(default_factory=dict)
    file: bool = False
    label: bool = False
    rerun: bool = False
    one_of: tuple[str | None, ...] | None = None
    valid: tuple[Callable[[Any], bool], str] | None = None

    def counts(self, config: Config) -> bool:
        """Whether the key has an effect under this config."""
        return self.when is None or self.when(config)


def key(affects: Affects, default: Any = MISSING, **declared: Any) -> Any:
    """A field of the schema with its ``Key``; a callable default makes the value."""
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


def _content_and_style(config: Config) -> bool:
    return config.uses_content and config.uses_style


def _content_loss(config: Config) -> bool:
    return config.has_content_loss


def _noise(config: Config) -> bool:
    return config.init.name in ("noise", "blend")


def _gaussian(config: Config) -> bool:
    return _noise(config) and config.init.kind == "gaussian"


def _blend(config: Config) -> bool:
    return config.init.name == "blend"


def _from_file(config: Config) -> bool:
    return config.init.name == "file"


def _plateau(config: Config) -> bool:
    return config.until.plateau is not None


def _grows_from_content(config: Config) -> bool:
    scales = config.schedule.fractions(config.image.size, config.steps)
    return config.init.name == "content" and len(scales) > 1


def _guided(config: Config) -> bool:
    return config.guided


CONTENT = {"own": True, "when": _content}
CONTENT_LOSS = {"own": True, "when": _content_loss}
STYLE = {"own": True, "when": _style}
GUIDANCE = {"own": True, "when": _guided}
TRAINER = {"callbacks": Key(Affects.RESULT), "_target_": Key(Affects.RESULT)}
"""No other argument that ``runs/trainer.py`` accepts changes the picture but by rounding."""
LOSS = {"name": Key(Affects.NEITHER, label=True)}
FEATURES = {"_target_": "nst.losses.Features", "name": "features", "scale": 1.0}
GRAM = {"_target_": "nst.losses.Gram", "name": "gram", "scale": 1.0}


def within(least: float, most: float, problem: str) -> tuple[Callable[[Any], bool], str]:
    """A test for numbers from ``least`` to ``most``."""
    return lambda value: least <= value <= most, problem


def whole(most: int) -> tuple[Callable[[Any], bool], str]:
    """A test for numbers from 1 to ``most``."""
    return within(1, most, f"must be a whole number from 1 to {most}")


def ratio(of: str) -> tuple[Callable[[Any], bool], str]:
    """A test for the size of a picture over that of another."""
    return lambda value: 0 < value <= 10, f"must be above 0, at most 10: {of}; or null"


NOT_NEGATIVE = within(0, math.inf, "must be 0 or more")


def _env(name: str, default: Any) -> Any:
    """``${nst.env:NAME,default}``: like ``oc.env``, but an empty variable counts as unset."""
    return os.environ.get(name) or default


OmegaConf.register_new_resolver("nst.env", _env, replace=True)  # here, for workers of launchers


@dataclass
class ContentConfig:
    """A file or ``builtin:NAME``, or with ``source`` a blend of two (``nst.images.poisson``).

    ``position`` is where the source's centre lies, as fractions of the target's width and height;
    ``scale`` is the source's width over the target's, null: both keep their pixels.
    """

    path: str | None = result(None, fact="content", file=True, label=True, **CONTENT)
    source: str | None = result(None, fact="content", file=True, **CONTENT)
    target: str | None = result(None, fact="content", file=True, **CONTENT)
    mask: str | None = result(None, fact="content", file=True, **CONTENT)
    position: list[float] = result(lambda: [0.5, 0.5], fact="content", **CONTENT)
    scale: float | None = result(
        None, fact="content", valid=ratio("the source's width over the target's"), **CONTENT
    )
    gradients: str = result("plain", fact="content", one_of=("plain", "mixed"), **CONTENT)


@dataclass
class StyleConfig:
    """A file or ``builtin:NAME``, or a list of them.

    Several styles are mixed by their ``weights``, in any unit; null: equally. ``mix`` is the share
    of the second of two, in place of the weights. With ``guidance=masks`` each is for a region,
    and null for a region without style.

    Their shorter side is ``size`` px or ``scale`` times ``image.size``; null: ``image.size``.
    """

    path: Any = result(fact="style", file=True, label=True, **STYLE)
    size: int | None = result(None, fact="style.size", valid=whole(10_000), **STYLE)
    scale: float | None = result(
        None,
        fact="style.size",
        valid=ratio("the style's shorter side over image.size"),
        **STYLE,
    )
    weights: list[float] | None = result(None, fact="style", **STYLE)
    mix: float | None = result(
        None,
        fact="style",
        valid=within(0, 1, "must be from 0 (the first style) to 1 (the second), or null"),
        **STYLE,
    )


@dataclass
class GuidanceConfig:
    """Masks that say which region of the image takes which style: Gatys et al. 2017, section 4.

    ``content`` is a list of masks of the content picture, one for each region: files or
    ``builtin:`` shapes (``nst.images.masks``); or one indexed PNG, with a region for each colour.
    ``style`` has the part of each region's style picture that counts, null: all of it; or one
    indexed PNG with as many colours. ``erode`` keeps the positions of each layer whose receptive
    field lies inside the region.
    """

    name: str = result("none", fact="style", label=True, one_of=("none", "masks"), **STYLE)
    content: Any = result(None, fact="style", file=True, **GUIDANCE)
    style: Any = result(None, fact="style", file=True, **GUIDANCE)
    erode: bool = result(False, fact="style", **GUIDANCE)


@dataclass
class LayersConfig:
    content: list[str] = result(**CONTENT_LOSS)
    style: list[str] = result(**STYLE)


@dataclass
class LayerWeightsConfig:
    """A rule (``equal``, ``gatys``) or one number per layer, in the order of the layer set."""

    content: Any = result("equal", **CONTENT_LOSS)
    style: Any = result("equal", **STYLE)


@dataclass
class WeightsConfig:
    content: float = result(valid=NOT_NEGATIVE, **CONTENT_LOSS)
    style: float = result(valid=NOT_NEGATIVE, **STYLE)
    tv: float = result(0.0, own=True, neutral=0.0, valid=NOT_NEGATIVE)
    spectrum: float = result(0.0, neutral=0.0, valid=NOT_NEGATIVE, **STYLE)


@dataclass
class InitConfig:
    """Where the image starts; ``name`` decides which of the other fields have an effect."""

    name: str = result(own=True, label=True, one_of=INITS)
    kind: str = result("uniform", own=True, when=_noise, one_of=("uniform", "gaussian"))
    mean: float = result(
        0.5, own=True, when=_gaussian, valid=within(0, 1, "must be from 0 (black) to 1 (white)")
    )
    std: float = result(0.25, own=True, when=_gaussian, valid=NOT_NEGATIVE)
    noise: float = result(
        0.5, own=True, when=_blend, valid=within(0, 1, "must be from 0 (content) to 1 (noise)")
    )
    path: str | None = result(None, fact="init", file=True, label=True, own=True, when=_from_file)


@dataclass
class NormalizeConfig:
    activations: bool = result(True)
    layers: str = result("mean", own=True, one_of=("mean", "sum"))


@dataclass
class BackboneConfig:
    name: str = result(label=True, one_of=architecture.BACKBONES)
    source: str = result(fact="weights")
    path: str | None = result(None, fact="weights", file=True, label=True)
    sha256: str | None = result(None, fact="weights")
    order: str = result("rgb", fact="weights", one_of=("rgb", "bgr"))
    pooling: str = result("max", one_of=architecture.POOLINGS)
    padding: str = result(architecture.ZEROS, one_of=architecture.PADDINGS)
    tiling: str = key(Affects.BATCH, "auto", one_of=("auto", "always", "never"))


@dataclass
class ScheduleConfig:
    """Scales from coarse to fine: fractions of ``image.size`` and ``steps``, or the coarsest in px.

    ``style`` is the fraction of ``weights.style`` at each scale; None: 1. ``precise`` is the share
    of the last scale's steps, at its end, that run in float32 whatever the precision. With
    ``coarsest``, ``sizes`` and ``steps`` are None and follow from it. With ``detail``, an image
    that starts from the content gets the content's detail whenever it grows.
    """

    name: str = key(Affects.NEITHER, label=True)
    sizes: list[float] | None = result(fact="scales")
    steps: list[float] | None = result(fact="scales")
    style: list[float] | None = result(None, fact="schedule.style", when=_style)
    precise: float = result(
        0.0, fact="precision", valid=within(0, 1, "must be a share of the steps, from 0 to 1")
    )
    coarsest: int | None = result(None, fact="scales", valid=whole(10_000))
    detail: bool = result(False, own=True, when=_grows_from_content, neutral=False)

    def fractions(self, size: int, steps: int) -> list[float]:
        """Size of each scale over the final one, rising to 1.

        From the coarsest scale on, each is about twice the size of the one before: as many scales
        as make the ratio nearest to 2. An image with less than 1.4 times its size has one scale.
        Runs with fewer steps than scales have the last scales only.

        Args:
            size: the final shorter side, px.
            steps: of the run.
        """
        if self.sizes is not None:
            return self.sizes
        ratio = size / (self.coarsest or size)
        doublings = max(0, round(math.log2(ratio)))
        found = [*(ratio ** (index / doublings - 1) for index in range(doublings)), 1.0]
        return found[-max(1, steps) :]

    def shares(self, size: int, steps: int) -> list[float]:
        """Share of each scale in all steps, in any unit.

        From the coarsest scale on, each has the same number, as in the code of Kolkin et al. 2019
        (STROTSS).

        Args:
            size: the final shorter side, px.
            steps: of the run.
        """
        if self.steps is not None:
            return self.steps
        return [1.0] * len(self.fractions(size, steps))


@dataclass
class UntilConfig:
    """Where a run ends before its last step, once the image has its final size.

    ``loss`` ends it at the first total loss that is not above it; ``plateau`` once the lowest loss
    has fallen by less than this fraction within ``window`` steps. The result is the image with the
    lowest loss.
    """

    loss: float | None = result(None, own=True, valid=NOT_NEGATIVE)
    plateau: float | None = result(
        None,
        own=True,
        valid=(lambda value: 0 < value < 1, "must be a fraction between 0 and 1, or null"),
    )
    window: int = result(25, own=True, when=_plateau, valid=whole(1_000_000))


@dataclass
class ImageConfig:
    size: int = result(fact="scales", valid=whole(10_000))


@dataclass
class RunConfig:
    """What ``nst`` finds out about a run; the configs of loggers refer to it."""

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

    task: str = result(own=True, one_of=TASKS)
    content: ContentConfig = field(default_factory=ContentConfig)
    style: StyleConfig = field(default_factory=StyleConfig)
    guidance: GuidanceConfig = field(default_factory=GuidanceConfig)
    colour: str = result("none", own=True, when=_content_and_style, neutral="none", one_of=COLOURS)
    image: ImageConfig = field(default_factory=ImageConfig)
    content_loss: Any = result(parts=LOSS, neutral=FEATURES, **CONTENT)
    style_loss: Any = result(parts=LOSS, neutral=GRAM, **STYLE)
    layers: LayersConfig = field(default_factory=LayersConfig)
    layer_weights: LayerWeightsConfig = field(default_factory=LayerWeightsConfig)
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    normalize: NormalizeConfig = field(default_factory=NormalizeConfig)
    init: InitConfig = field(default_factory=InitConfig)
    seed: int = result(
        0,
        own=True,
        when=_noise,
        valid=within(0, 2**63 - 1, "must be a whole number from 0 to 2^63 - 1"),
    )
    steps: int = result(fact="scales", valid=whole(1_000_000))
    until: UntilConfig = field(default_factory=UntilConfig)
    optimizer: Any = result()
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    precision: str = result("auto", fact="precision", one_of=PRECISIONS)
    compile: str | None = key(Affects.BATCH, None, one_of=(*COMPILE_MODES, None))
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    snapshot_every: int = key(Affects.BATCH, valid=whole(1_000_000))
    checkpoint_seconds: float = key(Affects.BATCH, valid=NOT_NEGATIVE)
    divergence: float | None = key(
        Affects.NEITHER,
        valid=(
            lambda value: value > 1,
            "must be above 1, or null: then only a loss that is not finite is a divergence",
        ),
    )
    learned_metrics: list[str] = key(
        Affects.NEITHER,
        list,
        valid=(
            lambda value: all(each in LEARNED_METRICS for each in value),
            f"allowed: a list of {listed(LEARNED_METRICS)}",
        ),
    )
    pairs: str | None = key(Affects.NEITHER, None, file=True)
    objective: list[str] = key(Affects.NEITHER, list)
    study: str | None = key(
        Affects.NEITHER,
        None,
        rerun=True,
        valid=(
            lambda value: (
                re.fullmatch(rf"(?!{_DEVICE})[A-Za-z0-9_][A-Za-z0-9_.-]*", value) is not None
            ),
            "must be letters, digits, _, . and -, and no device of Windows: it names files",
        ),
    )
    trial: int | None = key(Affects.NEITHER, None, rerun=True)
    outputs: str = key(Affects.NEITHER)
    force: bool = key(Affects.NEITHER, False, rerun=True)
    retry: str | None = key(Affects.NEITHER, None, rerun=True, one_of=("failed", None))
    trainer: Any = key(Affects.BATCH, parts=TRAINER, fact="trainer")
    logger: Any = key(Affects.NEITHER, None)
    experiment: ExperimentConfig = key(Affects.NEITHER, ExperimentConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def asdict(self) -> dict[str, Any]:
        """Plain containers, for YAML and trackers."""
        return asdict(self)

    @property
    def uses_content(self) -> bool:
        """Whether the task has a content picture."""
        return self.task in CONTENT_TASKS

    @property
    def has_content_loss(self) -> bool:
        """Whether the task has a content loss and ``content_loss=none`` does not switch it off."""
        return self.uses_content and self.content_loss["_target_"] is not None

    @property
    def uses_style(self) -> bool:
        """Whether the task has a style loss."""
        return self.task in STYLE_TASKS

    @property
    def guided(self) -> bool:
        """Whether masks say where each style is used."""
        return self.uses_style and self.guidance.name == "masks"

    @property
    def style_size(self) -> int:
        """Shorter side of the style pictures at the final scale, px."""
        if self.style.scale is not None:
            return max(1, round(self.style.scale * self.image.size))
        return self.style.size or self.image.size

    @property
    def wraps(self) -> bool:
        """Whether the image wraps around, so that copies of it fit side by side as tiles."""
        return self.backbone.padding == architecture.CIRCULAR

    @property
    def side_step(self) -> int:
        """The sides of the image are multiples of this, px.

        If the image wraps around, the stride of the deepest layer used: of any other side, pooling
        would drop a row or a column, and the features would not wrap around.
        """
        if not self.wraps:
            return 1
        used = {"content": self.has_content_loss, "style": self.uses_style}
        names = [name for term in used if used[term] for name in getattr(self.layers, term)]
        layers = [architecture.canonical(name, self.backbone.name) for name in names]
        return max(map(architecture.stride, layers), default=1)

    @property
    def matches_colours(self) -> bool:
        """Whether the style first gets the colours of the content."""
        return self.colour == "match" and _content_and_style(self)

    @property
    def keeps_colours(self) -> bool:
        """Whether only lightness is optimised, and the colours are those of the content."""
        return self.colour == "keep_luminance" and _content_and_style(self)


def register() -> None:
    """Registers the schema with Hydra as ``schema``."""
    ConfigStore.instance().store(name="schema", node=Config)


def _share_store() -> None:
    """Has copies of Hydra's repository share the store of structured configs.

    Hydra copies its repository for every composition, and for every look at the options of a group.
    A copy of the store takes most of that time (0.1 s), and nothing needs it: the store copies what
    it gives out.
    """
    ConfigStore.__deepcopy__ = lambda self, memo: self  # type: ignore[attr-defined]


_share_store()  # in workers too, which get the store from the sweep
