"""Trackers as Lightning loggers that take pictures: each module needs its tracker's package."""
