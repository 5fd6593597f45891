"""Optimisers of a batch of images: each image has its own curvature, step and history.

Both keep the image inside [0, 1] by projecting after the step; one ``step`` is one evaluation.
"""

from nst.optim.adam import Adam
from nst.optim.lbfgs import LBFGS
from nst.optim.per_image import PerImage

__all__ = ["LBFGS", "Adam", "PerImage"]
