"""What the local engine still has: asked of its API, never from inside one of its calls.

The engine removes containers without telling a driver that did not answer. What it no longer
lists is a leftover.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from cluster.errors import Unavailable

LIMIT_S: Final = 20.0

Found = TypeVar("Found")


class Listing(msgspec.Struct, frozen=True):
    """IDs of what the engine has: endpoints of all containers, running or not, and networks."""

    endpoints: frozenset[str]
    networks: frozenset[str]


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
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise Unavailable(f"{engine_socket}: {head.splitlines()[:1]}")
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise Unavailable(f"{engine_socket}: {path}: {error}") from error


class _Endpoint(msgspec.Struct):
    EndpointID: str = ""


class _Settings(msgspec.Struct):
    Networks: dict[str, _Endpoint] = {}


class _Container(msgspec.Struct):
    NetworkSettings: _Settings


class _Network(msgspec.Struct):
    Id: str
