"""One node's part of the networks: tunnels, names, balancing, and the engine's plugin."""
