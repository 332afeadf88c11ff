"""On which TCP addresses the API is served beside its socket: the options `--host` and `--tls…`.

Whoever may use the API is root on every node.  So over TCP clients prove themselves by a
certificate; without TLS it is served on the machine itself only, and only when that is asked for.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from cluster.api.tcp_endpoint import TcpEndpoint
from cluster.api.tls_front import server_context
from cluster.errors import InvalidArgument

TLS_PORT = 2376
PLAIN_PORT = 2375


def tcp_endpoints(
    hosts: Sequence[str],
    *,
    authority: Path | None,
    certificate: Path | None,
    key: Path | None,
    is_plain: bool,
    accepts_tokens: bool = False,
) -> tuple[TcpEndpoint, ...]:
    """Return the addresses to serve on.

    Args:
        hosts: each ``tcp://ADDRESS[:PORT]``.
        authority: PEM file of the authority of clients' certificates.
        certificate: PEM file of this server's certificate.
        key: PEM file of its key.
        is_plain: serve without TLS.
        accepts_tokens: a deploy token does in place of a client's certificate.

    Raises:
        InvalidArgument: a wrong address, a missing or unusable file, or a plain address that
            others can reach.
    """
    files = {"--tlscacert": authority, "--tlscert": certificate, "--tlskey": key}
    missing = [name for name, path in files.items() if path is None]
    if not hosts:
        if len(missing) < len(files) or is_plain or accepts_tokens:
            raise InvalidArgument("--host: without an address options of TCP mean nothing")
        return ()
    if is_plain:
        if len(missing) < len(files):
            raise InvalidArgument("--insecure-tcp: serves without TLS: leave --tls… out")
        if accepts_tokens:
            raise InvalidArgument("--accept-tokens: tokens need TLS: leave --insecure-tcp out")
        return tuple(_plain(*_address(host, PLAIN_PORT)) for host in hosts)
    if authority is None or certificate is None or key is None:
        raise InvalidArgument(
            f"--host: needs {', '.join(missing)}: clients prove themselves by certificates "
            "(--insecure-tcp serves without on 127.0.0.1)"
        )
    context = server_context(authority, certificate, key, accepts_tokens=accepts_tokens)
    addresses = (_address(host, TLS_PORT) for host in hosts)
    return tuple(TcpEndpoint(host, port, context) for host, port in addresses)


def _plain(host: str, port: int) -> TcpEndpoint:
    if not ipaddress.ip_address(host).is_loopback:
        raise InvalidArgument(
            f"--insecure-tcp: {host} can be reached by others, who would be root here: use TLS, "
            "or 127.0.0.1"
        )
    return TcpEndpoint(host, port, None)


def _address(text: str, default_port: int) -> tuple[str, int]:
    parts = urlsplit(text)
    try:
        host, port = str(ipaddress.ip_address(parts.hostname or "")), parts.port
    except ValueError:
        host, port = "", None
    if parts.scheme != "tcp" or not host or parts.path.strip("/"):
        raise InvalidArgument(
            f"--host: {text!r} is not tcp://ADDRESS:PORT with an IP address of this machine; "
            "--socket names the unix socket"
        )
    return host, default_port if port is None else port
