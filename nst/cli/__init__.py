"""The commands ``nst`` and ``nst-report``."""
