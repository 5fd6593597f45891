"""The page that shows any runs side by side."""
