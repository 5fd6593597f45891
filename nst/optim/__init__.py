"""Optimisers of a batch of images, with a curvature, a step and a history for each image.

Both project the images to [0, 1] after the step. One ``step`` takes one evaluation.
"""

from nst.optim.adam import Adam
from nst.optim.lbfgs import LBFGS
from nst.optim.per_image import PerImage

__all__ = ["LBFGS", "Adam", "PerImage"]
