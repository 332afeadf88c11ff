"""A port of the loopback that nobody listens on just now."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Return its number."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
