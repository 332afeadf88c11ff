"""The managers' side of the workers."""
