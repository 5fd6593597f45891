"""Runs in this process: the Trainer, run folders, loggers, commands."""
