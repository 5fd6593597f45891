"""From a checked config to a run: loads its pictures, and resolves what it names."""

from __future__ import annotations

from nst import images
from nst.config.experiment import ExperimentJob
from nst.config.schema import Config
from nst.images import Picture, colour_transfer, poisson
from nst.images.decode import MAX_PIXELS
from nst.runs.resolve import resolve
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
    style = images.load(config.style.path, "style.path") if config.uses_style else None
    grey = None
    if content is not None and style is not None and config.matches_colours:
        style = colour_transfer.matched(style, content)
    if content is not None and style is not None and config.keeps_colours:
        grey, style = colour_transfer.grey(content), colour_transfer.grey_matched(style, content)
    start = config.init.path if config.init.name == "file" else None
    init = None if start is None else images.load(start, "init.path")
    run = Run(config, resolved, content, style, init, grey, experiment_job)
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
    """Checks that every picture has a feature at its deepest layer, at all scales."""
    config = run.config
    coarsest = run.scales[0].fraction
    style_size = config.style.size or config.image.size
    for key, seen, size in (
        ("image.size", run.content or run.style, config.image.size),
        ("style.size" if config.style.size else "image.size", run.style, style_size),
    ):
        height, width = images.fit(seen.image.size, size) if seen else (0, 0)
        if height * width > MAX_PIXELS:
            problem = f"makes {width}x{height} px of {seen and seen.name}"
            raise ConfigError(key, size, f"{problem}; at most {MAX_PIXELS:,} in all")
    for term, picture, size_key, size in (
        ("content", run.content, "image.size", config.image.size),
        ("style", run.style, "style.size" if config.style.size else "image.size", style_size),
    ):
        layers = [layer for part in run.terms(term).values() for layer in part]
        if picture is None or not layers:
            continue
        deepest = max(layers, key=architecture.stride)
        least = architecture.stride(deepest)
        needs = f"too small for {deepest}, which needs at least {least} px"
        if min(picture.image.size) < least:
            width, height = picture.image.size
            path = getattr(config, term).path
            raise ConfigError(f"{term}.path", path, f"has {width}x{height} px, {needs}")
        # the style layers are computed of the image too, whose size is image.size
        for key, pixels in ((size_key, size), ("image.size", config.image.size)):
            if pixels < least:
                raise ConfigError(key, pixels, needs)
            if round(pixels * coarsest) < least:
                problem = f"{key}={pixels} is {round(pixels * coarsest)} px at the coarsest scale"
                raise ConfigError("schedule.sizes", config.schedule.sizes, f"{problem}, {needs}")
