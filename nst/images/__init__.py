"""Pictures: decode, convert colours, resize, save, draw and blend."""

from nst.images.picture import (
    BUILTIN,
    Picture,
    builtin_names,
    covering,
    fit,
    load,
    load_cut_out,
    load_mask,
    tiled,
    to_image,
    to_tensor,
)

__all__ = [
    "BUILTIN",
    "Picture",
    "builtin_names",
    "covering",
    "fit",
    "load",
    "load_cut_out",
    "load_mask",
    "tiled",
    "to_image",
    "to_tensor",
]
