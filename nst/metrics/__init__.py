"""What is measured of a finished picture."""
