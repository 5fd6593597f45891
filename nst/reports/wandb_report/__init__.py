"""A report and workspaces in W&B, as code."""
