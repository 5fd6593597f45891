"""Optimisers of a batch of images, with a state of its own for each image.

One ``step`` takes one evaluation, and by default ends with a projection of the images to [0, 1].
"""

from nst.optim.adam import Adam
from nst.optim.lbfgs import LBFGS
from nst.optim.per_image import PerImage

__all__ = ["LBFGS", "Adam", "PerImage"]
