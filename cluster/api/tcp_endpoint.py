"""A TCP address on which the API is served."""

from __future__ import annotations

import ssl
from typing import NamedTuple


class TcpEndpoint(NamedTuple):
    """A TCP address to serve on, with TLS unless `context` is None."""

    host: str
    port: int
    context: ssl.SSLContext | None
