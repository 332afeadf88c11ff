"""What the local engine still has: asked of its API, never from inside one of its calls.

The engine removes containers without telling a driver that did not answer. What it no longer
lists is a leftover. And it names networks and endpoints to a driver but once: what was lost here is
learnt from its own notes.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from cluster.errors import NotFound, Unavailable
from cluster.model.network_view import ADDRESS_OPTION, DRIVER_NAME, GATEWAY_OPTION, NETWORK_OPTION
from cluster.network.stored_state import EngineEndpoint, EnginePort

LIMIT_S: Final = 20.0

Found = TypeVar("Found")


class Listing(msgspec.Struct, frozen=True):
    """IDs of what the engine has: endpoints of all containers, running or not, and networks."""

    endpoints: frozenset[str]
    networks: frozenset[str]


class EnginePlaces(msgspec.Struct, frozen=True):
    """What the engine once told the driver: networks, as in `StoredState`, and endpoints."""

    networks: dict[str, str]
    endpoints: dict[str, EngineEndpoint]


async def engine_listing(engine_socket: Path) -> Listing:
    """Return what the engine has.

    Raises:
        Unavailable: the engine does not answer, or not as expected.
    """
    containers = await _ask(engine_socket, "/containers/json?all=1", list[_Container])
    networks = await _ask(engine_socket, "/networks", list[_Network])
    return Listing(
        endpoints=frozenset(
            endpoint.EndpointID
            for container in containers
            for endpoint in container.NetworkSettings.Networks.values()
            if endpoint.EndpointID
        ),
        networks=frozenset(network.Id for network in networks),
    )


async def engine_places(engine_socket: Path) -> EnginePlaces:
    """Return the driver's networks and the containers' places in them.

    Raises:
        Unavailable: the engine does not answer, or not as expected.
    """
    networks = {
        network.Id: (network.Options or {})[NETWORK_OPTION]
        for network in await _ask(engine_socket, "/networks", list[_Network])
        if network.Driver == DRIVER_NAME and NETWORK_OPTION in (network.Options or {})
    }
    endpoints: dict[str, EngineEndpoint] = {}
    for container in await _ask(engine_socket, "/containers/json?all=1", list[_Container]):
        if all(e.NetworkID not in networks for e in container.NetworkSettings.Networks.values()):
            continue
        with contextlib.suppress(NotFound):  # it has just gone
            path = f"/containers/{container.Id}/json"
            endpoints.update(_places(await _ask(engine_socket, path, _Container), networks))
    return EnginePlaces(networks, endpoints)


def _places(container: _Container, networks: dict[str, str]) -> dict[str, EngineEndpoint]:
    places: dict[str, EngineEndpoint] = {}
    for endpoint in container.NetworkSettings.Networks.values():
        options = endpoint.DriverOpts or {}
        address = options.get(ADDRESS_OPTION) or f"{endpoint.IPAddress}/{endpoint.IPPrefixLen}"
        if not endpoint.EndpointID or endpoint.NetworkID not in networks:
            continue
        try:
            interface = ipaddress.IPv4Interface(address)
        except ValueError:  # no endpoint that this driver has made
            continue
        is_gateway = options.get(GATEWAY_OPTION) == "1"
        places[endpoint.EndpointID] = EngineEndpoint(
            engine_network=endpoint.NetworkID,
            network_id=networks[endpoint.NetworkID],
            address=str(interface.ip),
            prefix=interface.network.prefixlen,
            is_gateway=is_gateway,
            sandbox=container.NetworkSettings.SandboxKey,
            ports=_ports(container.HostConfig) if is_gateway else (),
        )
    return places


def _ports(config: _HostConfig) -> tuple[EnginePort, ...]:
    return tuple(
        EnginePort(
            protocol=protocol,
            published_port=int(binding.HostPort),
            target_port=int(target),
            host_ip=binding.HostIp,
        )
        for key, bindings in (config.PortBindings or {}).items()
        for target, _, protocol in [key.partition("/")]
        for binding in bindings or ()
        if binding.HostPort.isdecimal()
    )


async def _ask(engine_socket: Path, path: str, kind: type[Found]) -> Found:
    try:
        async with asyncio.timeout(LIMIT_S):
            reader, writer = await asyncio.open_unix_connection(engine_socket)
            try:
                request = f"GET {path} HTTP/1.0\r\nHost: engine\r\nConnection: close\r\n\r\n"
                writer.write(request.encode())
                answer = await reader.read(-1)
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"{engine_socket}: {error or 'no answer'}") from error
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 404 " in head.split(b"\r\n")[0]:
        raise NotFound(f"{engine_socket}: {path}: not found")
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise Unavailable(f"{engine_socket}: {head.splitlines()[:1]}")
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise Unavailable(f"{engine_socket}: {path}: {error}") from error


class _Endpoint(msgspec.Struct):
    EndpointID: str = ""
    NetworkID: str = ""
    IPAddress: str = ""
    IPPrefixLen: int = 0
    DriverOpts: dict[str, str] | None = None


class _Settings(msgspec.Struct):
    Networks: dict[str, _Endpoint] = {}
    SandboxKey: str = ""


class _Binding(msgspec.Struct):
    HostIp: str = ""
    HostPort: str = ""


class _HostConfig(msgspec.Struct, frozen=True):
    PortBindings: dict[str, list[_Binding] | None] | None = None


class _Container(msgspec.Struct):
    Id: str
    NetworkSettings: _Settings
    HostConfig: _HostConfig = _HostConfig()


class _Network(msgspec.Struct):
    Id: str
    Driver: str = ""
    Options: dict[str, str] | None = None
