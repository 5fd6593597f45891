"""The terms of the objective, a file each. Losses are (N,), one value per image, in float32.

``docs/losses.md`` compares them, and says how to add one.
"""

from nst.losses.base import ContentLoss, Loss, StyleLoss, at_least_float32
from nst.losses.cross import Cross
from nst.losses.features import Features
from nst.losses.gram import Gram, gram_matrix
from nst.losses.moments import Moments
from nst.losses.nearest import Nearest
from nst.losses.remd import RelaxedEMD
from nst.losses.self_similarity import SelfSimilarity
from nst.losses.sliced_wasserstein import SlicedWasserstein
from nst.losses.spectrum import spectrum_distance
from nst.losses.tv import total_variation
from nst.losses.wasserstein import Wasserstein

__all__ = [
    "ContentLoss",
    "Cross",
    "Features",
    "Gram",
    "Loss",
    "Moments",
    "Nearest",
    "RelaxedEMD",
    "SelfSimilarity",
    "SlicedWasserstein",
    "StyleLoss",
    "Wasserstein",
    "at_least_float32",
    "gram_matrix",
    "spectrum_distance",
    "total_variation",
]
