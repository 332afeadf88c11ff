"""The daemon: managers and workers."""
