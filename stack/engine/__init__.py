"""The Docker Engine API as the client uses it."""
