"""Built-in style pictures, drawn by code.

Each picture is a 512 x 512 RGB image made from fixed random seeds: the same name gives the same
bytes in every process. They replace paintings as style pictures: texture at several scales (2 to
40 px), a marked direction of stroke, a limited palette, and no large flat area.
"""

from collections.abc import Callable

from PIL import Image

from nst.images.procedural import brushstrokes, mosaic, stained_glass, waves

_PAINTERS: dict[str, Callable[[], Image.Image]] = {
    "brushstrokes": brushstrokes.draw,
    "stained_glass": stained_glass.draw,
    "waves": waves.draw,
    "mosaic": mosaic.draw,
}
NAMES: tuple[str, ...] = tuple(_PAINTERS)


def draw(name: str) -> Image.Image:
    """Draw the named style picture, RGB and SIZE x SIZE pixels; KeyError for an unknown name."""
    return _PAINTERS[name]()
