"""Faster kernels for CPUs. Without this folder, ``network`` and ``losses`` use PyTorch's own."""
