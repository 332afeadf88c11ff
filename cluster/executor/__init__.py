"""Tasks to containers, through the local Docker Engine."""
