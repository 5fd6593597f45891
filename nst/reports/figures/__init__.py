"""An experiment's table for a paper: its layout, as PDF, as LaTeX, and its numbers."""
