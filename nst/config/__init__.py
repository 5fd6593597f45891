"""The schema of a config, its checks, overrides, and the declaration of experiments."""
