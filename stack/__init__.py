"""The client: compose files to Docker Engine API calls."""
