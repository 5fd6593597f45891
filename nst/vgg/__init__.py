"""The feature extractor: architecture, pretrained weights, calibration, tiling, CPU kernels."""
