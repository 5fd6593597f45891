"""Built-in style pictures, drawn by code.

Each picture is a 512 x 512 RGB image made from fixed random seeds: the same name gives the same
bytes in every process. They replace paintings as style pictures: texture at several scales (2 to
40 px), a marked direction of stroke, a limited palette, and no large flat area.
"""

from importlib import import_module

from PIL import Image

NAMES = ("brushstrokes", "stained_glass", "waves", "mosaic")
"""The pictures, each drawn by the module of its name, which imports SciPy: only when drawn."""


def draw(name: str) -> Image.Image:
    """Draw the named style picture, RGB and SIZE x SIZE pixels; KeyError for an unknown name."""
    if name not in NAMES:
        raise KeyError(name)
    picture: Image.Image = import_module(f"nst.images.procedural.{name}").draw()
    return picture
