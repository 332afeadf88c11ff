"""Bring a cluster to the stack that a compose file describes."""
