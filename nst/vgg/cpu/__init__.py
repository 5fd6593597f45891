"""Fast kernels for CPUs, used by ``vgg.network`` and ``losses.gram``."""
