"""Sweeps on real engines, compared with one process: ``make scale``."""
