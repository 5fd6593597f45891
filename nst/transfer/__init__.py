"""The optimisation of images: the loop is ``module.StyleTransfer.training_step``."""
