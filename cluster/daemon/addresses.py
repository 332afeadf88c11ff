"""Addresses that a user gives, and those that a user leaves to us."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct

from cluster.daemon.config import DEFAULT_PORT
from cluster.errors import InvalidArgument

_SIOCGIFADDR = 0x8915
_ENGINE_INTERFACES = ("docker", "br-", "veth", "lo")  # the engine's own, and loopback


def with_port(addr: str, default_port: int = DEFAULT_PORT) -> str:
    """Return `addr` (host or host:port) with a port."""
    host, port = _split(addr, default_port)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def resolve_listen_addr(addr: str) -> tuple[str, int]:
    """Return the IP address and port to listen on.

    Args:
        addr: host:port, host or an interface's name; empty means all addresses.

    Raises:
        InvalidArgument: it is neither an IP address nor an interface with one.
    """
    if not addr:
        return "0.0.0.0", DEFAULT_PORT  # noqa: S104 - other nodes must reach it
    host, port = _split(addr, DEFAULT_PORT)
    return _ip_of(host, "listen address"), port


def resolve_advertise_addr(addr: str, listen_host: str) -> str:
    """Return the IP address under which other nodes reach this one.

    Args:
        addr: IP address (a port is ignored) or an interface's name; empty means: choose.
        listen_host: the address listened on, taken when it is a single one.

    Raises:
        InvalidArgument: the address is not this machine's, or there are several to choose from.
    """
    if addr:
        host, _ = _split(addr, DEFAULT_PORT)
        ip = _ip_of(host, "advertise address")
        _check_local(ip)
        return ip
    if not ipaddress.ip_address(listen_host).is_unspecified:
        return listen_host
    found = own_addresses()
    if len(found) == 1:
        return found[0][1]
    if not found:
        raise InvalidArgument(
            "could not choose an IP address to advertise: this machine has none beside loopback"
            " - specify one with --advertise-addr"
        )
    listed = " and ".join(f"{ip} on {name}" for name, ip in found)
    raise InvalidArgument(
        "could not choose an IP address to advertise since this system has multiple addresses"
        f" on different interfaces ({listed}) - specify one with --advertise-addr"
    )


def address_towards(remote: str) -> str:
    """Return the IP address this machine uses to reach a remote host:port; sends nothing."""
    host, port = _split(remote, DEFAULT_PORT)
    try:
        family, kind, *_, target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(target)
            return str(probe.getsockname()[0])
    except OSError as error:
        raise InvalidArgument(
            f"manager address {remote!r} cannot be reached from here: {error.strerror or error};"
            " check it, or give this node's own address with --advertise-addr"
        ) from error


def own_addresses() -> list[tuple[str, str]]:
    """Return (interface, IPv4 address) of this machine, without loopback and the engine's."""
    found = []
    for _, name in socket.if_nameindex():
        ip = None if name.startswith(_ENGINE_INTERFACES) else _interface_ip(name)
        if ip:
            found.append((name, ip))
    return found


def _split(addr: str, default_port: int) -> tuple[str, int]:
    host, port = addr, str(default_port)
    if addr.startswith("["):
        host, _, rest = addr[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif addr.count(":") == 1:
        host, _, port = addr.partition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InvalidArgument(
            f"invalid address {addr!r}: write HOST or HOST:PORT with a port from 1 to 65535"
        )
    return host, int(port)


def _ip_of(host: str, what: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        ip = _interface_ip(host)
    if ip is None:
        raise InvalidArgument(
            f"{what} {host!r} is neither an IP address nor an interface with one;"
            " `ip addr` lists both"
        )
    return ip


def _interface_ip(name: str) -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(
                probe.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15])
            )
        except OSError:
            return None
    return socket.inet_ntoa(answer[20:24])


def _check_local(ip: str) -> None:
    parsed = ipaddress.ip_address(ip)
    if parsed.is_unspecified:
        raise InvalidArgument(f"advertise address must be a non-zero IP address, not {ip}")
    family = socket.AF_INET6 if parsed.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((ip, 0))
        except OSError:
            listed = ", ".join(own for _, own in own_addresses()) or "none beside loopback"
            raise InvalidArgument(
                f"advertise address {ip} is not an address of this machine (it has: {listed})"
            ) from None
