"""One run: its signature, its folder, and the way from a config to a result."""
