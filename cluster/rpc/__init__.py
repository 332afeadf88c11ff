"""The wire between nodes: gRPC over mutual TLS."""
