"""Compose files to a typed, checked, complete model."""
