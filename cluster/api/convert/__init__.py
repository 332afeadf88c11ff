"""Stored objects as the Docker Engine API shows them."""
