"""Compose model to Docker Engine API objects, pure."""
