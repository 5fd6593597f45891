"""The style pictures of a config: one, a mix, or one for each region of the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nst import images
from nst.config.schema import Config
from nst.images import Picture, colour_transfer, masks
from nst.transfer.run import Style
from nst.utils.errors import ConfigError


def load_styles(config: Config, content: Picture | None) -> tuple[Style, ...]:
    """The styles of a checked config whose task has a style.

    The order is by share, then by pixels, so that the order in the config changes nothing. Styles
    without a share are left out, equal ones are one.

    Args:
        config: checked.
        content: the picture whose regions ``guidance.content`` has; None: they are those of the
            first style, as the image has its shape.

    Raises:
        ConfigError: if a picture or a mask cannot be used.
    """
    paths = config.style.path if isinstance(config.style.path, list) else [config.style.path]
    pictures = [None if each is None else _loaded(each, config, content) for each in paths]
    found = _regions(config, content, pictures) if config.guided else _mix(config, pictures)
    return tuple(sorted(_joined(found), key=lambda each: (-each.share, _identity(each))))


def _loaded(path: str, config: Config, content: Picture | None) -> Picture:
    """A style picture, in the colours that ``colour`` gives it."""
    picture = images.load(path, "style.path")
    if content is not None and config.matches_colours:
        return colour_transfer.matched(picture, content)
    if content is not None and config.keeps_colours:
        return colour_transfer.grey_matched(picture, content)
    return picture


def _mix(config: Config, pictures: Sequence[Picture | None]) -> list[Style]:
    weights = config.style.weights or [1.0] * len(pictures)
    if config.style.mix is not None:
        weights = [1 - config.style.mix, config.style.mix]
    return [
        Style(picture, weight / sum(weights))
        for picture, weight in zip(pictures, weights, strict=True)
        if picture is not None and weight > 0
    ]


def _regions(
    config: Config, content: Picture | None, pictures: Sequence[Picture | None]
) -> list[Style]:
    guidance, first = config.guidance, next(filter(None, pictures))
    canvas = content or first
    whose = "the content" if content else "the style"
    key, size = "guidance.content", canvas.image.size
    where = [each for each in masks.regions(guidance.content, key, size, whose) if each is not None]
    if isinstance(guidance.content, list) and None in guidance.content:
        problem = "null is no region; for one without style, set style.path to null there"
        raise ConfigError(key, guidance.content, problem)
    masks.check_overlap(where, key, guidance.content, size)
    count = len(where)
    if len(pictures) not in (1, count):
        problem = f"needs one picture, or one for each of the {count} regions of guidance.content"
        raise ConfigError("style.path", config.style.path, f"{problem}; null: no style there")
    own = list(pictures) * count if len(pictures) == 1 else list(pictures)
    found = []
    for region, picture, source in zip(where, own, _sources(guidance.style, own), strict=True):
        share = float(masks.to_tensor(region, *size[::-1]).mean())
        everywhere = count == 1 and masks.is_everywhere(region)
        if picture is not None:
            found.append(Style(picture, share, None if everywhere else region, source))
    return found


def _sources(value: Any, pictures: Sequence[Picture | None]) -> list[Picture | None]:
    """The masks of the style pictures, one for each region; None: all of the picture."""
    key = "guidance.style"
    if value is None:
        return [None] * len(pictures)
    if not isinstance(value, str | list) or (
        isinstance(value, list) and len(value) != len(pictures)
    ):
        problem = f"needs a mask or null for each of the {len(pictures)} regions"
        raise ConfigError(key, value, f"{problem} of guidance.content; or one indexed PNG")
    found: list[Picture | None] = []
    for number, picture in enumerate(pictures):
        if picture is None:
            found.append(None)
            continue
        # builtin:rest is what the other masks of the same picture leave
        same = [other is not None and other.sha256 == picture.sha256 for other in pictures]
        own = value
        if isinstance(value, list):
            own = [mask if shared else None for mask, shared in zip(value, same, strict=True)]
        each = masks.regions(own, key, picture.image.size, f"the style {picture.name}")
        if len(each) != len(pictures):
            problem = f"has {len(each)} colours, guidance.content has {len(pictures)} regions"
            raise ConfigError(key, value, problem)
        mask = each[number]
        found.append(None if mask is None or masks.is_everywhere(mask) else mask)
    return found


def _joined(styles: Sequence[Style]) -> list[Style]:
    """Equal pictures of a mix as one."""
    found: dict[Any, Style] = {}
    for style in styles:
        key = _identity(style)
        known = found.get(key)
        share = style.share + (known.share if known else 0.0)
        found[key] = Style(style.picture, share, style.region, style.source)
    return list(found.values())


def _identity(style: Style) -> tuple[str, ...]:
    parts = (style.picture, style.region, style.source)
    return tuple(each.sha256 if each else "" for each in parts)
