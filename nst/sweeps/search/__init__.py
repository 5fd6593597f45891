"""Guided search: studies whose next trials depend on the results of earlier ones."""
