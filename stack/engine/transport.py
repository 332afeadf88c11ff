"""Opens a socket to an Engine API, by whichever way its endpoint says."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from stack.engine.endpoint import Endpoint
from stack.errors import UsageError

if TYPE_CHECKING:  # most ways to a manager need no TLS, and the import takes long
    import ssl

_TIMEOUT_S = 60.0


def open_socket(endpoint: Endpoint) -> socket.socket:
    """A socket to the API; each single step on it may take a minute.

    Raises:
        OSError: there is nobody; `strerror` says why.
        UsageError: the files for TLS are wrong.
    """
    if endpoint.scheme == "unix":
        return _unix_socket(endpoint.address)
    if endpoint.scheme == "ssh":
        from stack.engine.ssh import open_ssh  # brings `subprocess` with it

        opened = open_ssh(endpoint)
        opened.settimeout(_TIMEOUT_S)
        return opened
    return _tcp_socket(endpoint, _tls_context(endpoint) if endpoint.tls else None)


def _unix_socket(path: str) -> socket.socket:
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        opened.settimeout(_TIMEOUT_S)
        opened.connect(path)
    except OSError:
        opened.close()
        raise
    return opened


def _tcp_socket(endpoint: Endpoint, context: ssl.SSLContext | None) -> socket.socket:
    opened = socket.create_connection((endpoint.address, endpoint.port), _TIMEOUT_S)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is None:
        return opened
    try:
        return context.wrap_socket(opened, server_hostname=endpoint.address)
    except OSError:
        opened.close()
        raise


def _tls_context(endpoint: Endpoint) -> ssl.SSLContext:
    import ssl

    folder = Path(endpoint.certificates)
    authority, certificate, key = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
    try:
        context = ssl.create_default_context(cafile=str(authority) if authority.exists() else None)
        if certificate.exists():
            context.load_cert_chain(str(certificate), str(key))
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"TLS files in {folder}: {error}") from None
    if not endpoint.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
