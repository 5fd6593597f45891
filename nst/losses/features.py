"""The content loss of Gatys et al. (2016), on the features themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from nst.losses.base import ContentLoss, at_least_float32


@dataclass(frozen=True)
class Features(ContentLoss):
    """Mean squared difference of features: Gatys et al. 2016, equation 1.

    A mean in place of their half of a sum, so that it does not depend on the size of the picture.

    - Shapes: the description is the features (N, C, H, W).
    - Cost: that of reading the features once.
    - Pitfalls: it fixes colours and contrast as well as shapes; ``self_similarity`` does not.
    """

    pointwise: ClassVar[bool] = True

    def describe(self, *features: Tensor) -> Tensor:
        """The features of one layer, as they are."""
        return features[0]

    def distance(self, description: Tensor, target: Tensor) -> Tensor:
        """Mean squared differences, (N,)."""
        difference = at_least_float32(description) - at_least_float32(target)
        return difference.square().mean(dim=(1, 2, 3))
