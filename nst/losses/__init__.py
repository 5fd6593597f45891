"""The terms of the objective, a file each. Losses are (N,), one value per image, in float32."""

from nst.losses.features import content_loss
from nst.losses.gram import gram_matrix, style_loss
from nst.losses.tv import total_variation

__all__ = ["content_loss", "gram_matrix", "style_loss", "total_variation"]
