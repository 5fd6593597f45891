"""What ``make bench`` measures, and its tests."""
