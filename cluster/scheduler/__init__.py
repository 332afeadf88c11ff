"""Tasks to nodes, pure."""
