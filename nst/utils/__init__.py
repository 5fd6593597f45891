"""Atomic writing of files, errors with exit statuses, and settings of the process."""
