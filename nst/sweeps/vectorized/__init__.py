"""Jobs computed in batches: ``hydra/launcher=vectorized``."""
