"""The swarm part of the Docker Engine API, served by every node."""
