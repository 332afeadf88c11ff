"""Where an Engine API is: what -H and the environment say, as Docker's client understands them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import msgspec

from stack.errors import UsageError

STACKD_SOCKET = "/run/stackyard/stackd.sock"
DOCKER_SOCKET = "/var/run/docker.sock"

_TOKEN = re.compile(r"stk_[0-9a-z]+_[0-9a-z]+")


class Endpoint(msgspec.Struct, frozen=True):
    """Where an Engine API is, and how to prove who we are there."""

    scheme: str  # "unix", "tcp" or "ssh"
    address: str  # socket path, or host
    port: int = 0
    tls: bool = False
    verify: bool = True
    certificates: str = ""  # folder of ca.pem, cert.pem, key.pem
    token: str = ""  # a deploy token, "" to be whoever the connection proves
    user: str = ""  # of an SSH login, "" as ssh itself finds it
    path: str = ""  # of the socket on the other host, "" as `stack` finds it there

    @property
    def url(self) -> str:
        """The endpoint as -H takes it."""
        if self.scheme == "unix":
            return f"unix://{self.address}"
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.address}]" if ":" in self.address else self.address
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{user}{host}{port}{self.path}"

    def __repr__(self) -> str:
        """Leave the token out."""
        return f"Endpoint({self.scheme}, {self.address}, {self.port})"


def find_endpoint(host: str, environment: Mapping[str, str]) -> Endpoint:
    """Choose the endpoint: the given host, DOCKER_HOST, stackd's socket, the engine's socket.

    Args:
        host: as given with -H; "" for none.
        environment: DOCKER_HOST, DOCKER_TLS_VERIFY, DOCKER_TLS, DOCKER_CERT_PATH and STACK_TOKEN
            are read.

    Raises:
        UsageError: the host is of no known form, or a token would be sent where others could
            read it.
    """
    endpoint = find_address(host, environment)
    token = environment.get("STACK_TOKEN", "").strip()
    if not token:
        return endpoint
    if not _TOKEN.fullmatch(token):
        raise UsageError("STACK_TOKEN is no deploy token: it begins with stk_")
    is_here = endpoint.scheme != "tcp" or endpoint.address in ("127.0.0.1", "::1", "localhost")
    if not is_here and not (endpoint.tls and endpoint.verify):
        raise UsageError(
            f"a deploy token is not sent to {endpoint.address} without TLS that is verified: "
            "set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the folder of the authority's ca.pem"
        )
    return msgspec.structs.replace(endpoint, token=token)


def find_address(host: str, environment: Mapping[str, str]) -> Endpoint:
    """Choose the endpoint as `find_endpoint`, without a token."""
    host = host or environment.get("DOCKER_HOST", "")
    if not host:
        host = f"unix://{STACKD_SOCKET if Path(STACKD_SOCKET).exists() else DOCKER_SOCKET}"
    parts = urlsplit(host if "://" in host else f"tcp://{host}")
    if parts.scheme == "unix":
        return Endpoint("unix", host.removeprefix("unix://"))
    try:
        port = parts.port
    except ValueError:
        raise UsageError(f"host {host!r}: the port is no number from 0 to 65535") from None
    if parts.scheme == "ssh" and parts.hostname:
        return _ssh_address(host, parts, port or 0)
    if parts.scheme not in ("tcp", "http", "https") or not parts.hostname:
        raise UsageError(
            f"host {host!r}: write unix:///path/to/socket, tcp://address:port or ssh://user@address"
        )
    verify = bool(environment.get("DOCKER_TLS_VERIFY"))
    tls = verify or bool(environment.get("DOCKER_TLS")) or parts.scheme == "https"
    home = environment.get("HOME", "")
    folder = environment.get("DOCKER_CERT_PATH") or f"{home}/.docker"
    return Endpoint("tcp", parts.hostname, port or (2376 if tls else 2375), tls, verify, folder)


def _ssh_address(host: str, parts: SplitResult, port: int) -> Endpoint:
    if parts.password is not None:
        # the whole address is not repeated: it would show the password
        raise UsageError(f"host ssh://{parts.hostname}: a password has no place there; use a key")
    if parts.query or parts.fragment:
        raise UsageError(f"host {host!r}: write ssh://user@address:port, or a socket's path behind")
    path = parts.path if parts.path != "/" else ""
    assert parts.hostname is not None
    return Endpoint("ssh", parts.hostname, port, user=parts.username or "", path=path)
