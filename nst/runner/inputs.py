"""From a checked config to a run: loads its pictures, and resolves what it names."""

from __future__ import annotations

from nst import images
from nst.config.experiment import ExperimentJob
from nst.config.schema import Config
from nst.images import Picture, colour_transfer, poisson
from nst.images.decode import MAX_PIXELS
from nst.runner.resolve import resolve
from nst.runner.styles import load_styles
from nst.transfer.guidance import is_empty, layer_mask
from nst.transfer.run import Run
from nst.utils.errors import ConfigError
from nst.vgg import architecture

LARGEST_BLEND = 2048
"""Largest shorter side at which a blend is solved, px: more takes minutes and gigabytes."""


def prepare(config: Config, experiment_job: ExperimentJob | None = None) -> Run:
    """The run of a checked config, with its pictures, and with what it names looked up.

    Raises:
        ConfigError: if a picture cannot be used, or the device, the weights or the optimiser.
    """
    resolved = resolve(config)
    content = _content(config) if config.uses_content else None
    styles = load_styles(config, content) if config.uses_style else ()
    grey = colour_transfer.grey(content) if content and config.keeps_colours else None
    start = config.init.path if config.init.name == "file" else None
    init = None if start is None else images.load(start, "init.path")
    loss = resolved.style_loss
    if config.guided and loss.additive and not loss.takes_weights:
        problem = "has no describe_weighted, which guidance=masks needs (docs/losses.md)"
        raise ConfigError("style_loss", type(loss).__name__, problem)
    run = Run(config, resolved, content, styles, init, grey, experiment_job)
    _check_sizes(run)
    return run


def _content(config: Config) -> Picture:
    """The content picture: a file, or a blend at the size of the result."""
    content = config.content
    if content.path is not None:
        return images.load(content.path, "content.path")
    assert content.source is not None and content.target is not None and content.mask is not None
    source = images.load_cut_out(content.source, "content.source")
    target = images.load(content.target, "content.target")
    drawn = {
        f"{images.BUILTIN}{draw.__name__}": draw for draw in (poisson.ellipse, poisson.rectangle)
    }
    if content.mask in drawn:
        mask = drawn[content.mask](source.image.size)
    else:
        mask = images.load_mask(content.mask, "content.mask")
    x, y = content.position
    try:
        blended = poisson.poisson(
            source.image,
            target.image,
            mask,
            (x, y),
            content.scale,
            mixed=content.gradients == "mixed",
            shorter=min(config.image.size, LARGEST_BLEND),
        )
    except ValueError as error:
        raise ConfigError("content.mask", content.mask, str(error)) from error
    parts = {name: getattr(blended, name) for name in ("source", "mask", "target", "paste")}
    return Picture(f"{source.name}_in_{target.name}", blended.result, parts)


def _check_sizes(run: Run) -> None:
    """Checks that every picture and region has a feature at its deepest layer, at all scales."""
    config, styles = run.config, [style.picture for style in run.styles]
    image = "image.size", config.image.size
    style = _style_size(config)
    for (key, size), shorter, seen in (
        (image, config.image.size, [run.content or run.style]),
        (style, config.style_size, styles),
    ):
        for picture in filter(None, seen):
            height, width = images.fit(picture.image.size, shorter)
            if height * width > MAX_PIXELS:
                problem = f"makes {width}x{height} px of {picture.name}"
                raise ConfigError(key, size, f"{problem}; at most {MAX_PIXELS:,} in all")
    for term, pictures, (size_key, size), shorter in (
        ("content", [run.content] if run.content else [], image, config.image.size),
        ("style", styles, style, config.style_size),
    ):
        layers = [layer for part in run.terms(term).values() for layer in part]
        if not pictures or not layers:
            continue
        deepest = max(layers, key=architecture.stride)
        least = architecture.stride(deepest)
        needs = f"too small for {deepest}, which needs at least {least} px"
        for picture in pictures:
            if min(picture.image.size) < least:
                width, height = picture.image.size
                path = getattr(config, term).path
                raise ConfigError(f"{term}.path", path, f"has {width}x{height} px, {needs}")
        # the style layers are computed of the image too, whose size is image.size
        for key, value, pixels in (
            (size_key, size, shorter),
            (*image, config.image.size),
        ):
            if pixels < least:
                raise ConfigError(key, value, needs)
            coarsest = round(pixels * run.scales[0].fraction)
            if coarsest < least:
                problem = f"{key}={value} is {coarsest} px at the coarsest scale"
                name = "sizes" if config.schedule.coarsest is None else "coarsest"
                given = getattr(config.schedule, name)
                raise ConfigError(f"schedule.{name}", given, f"{problem}, {needs}")
        if term == "style":
            _check_regions(run, deepest)


def _style_size(config: Config) -> tuple[str, float]:
    """Key and value of the size of the style."""
    if config.style.scale is not None:
        return "style.scale", config.style.scale
    return ("style.size" if config.style.size else "image.size"), config.style_size


def _check_regions(run: Run, deepest: str) -> None:
    """Checks that every mask has a position at the deepest layer, at the coarsest scale."""
    config, scale = run.config, run.scales[0]
    eroded = config.guidance.erode
    for style in run.styles:
        for key, mask, shape in (
            ("guidance.content", style.region, run.shape(scale)),
            ("guidance.style", style.source, run.style_shape(style, scale)),
        ):
            if mask is None:
                continue
            found = layer_mask(mask, shape, deepest, config.backbone.name, eroded)
            if is_empty(found):
                field = architecture.receptive_field(deepest, config.backbone.name)
                inside = f", which sees {field} px (guidance.erode=true)" if eroded else ""
                problem = f"the mask {mask.name} is empty at {deepest}{inside}, at {min(shape)} px"
                value = getattr(config.guidance, key.partition(".")[2])
                raise ConfigError(key, value, f"{problem}; make the region or image.size larger")
