"""Which endpoints the local engine still has: asked of its API, never from inside one of its calls.

The engine removes containers without telling a driver that did not answer. What it no longer
lists is a leftover.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import msgspec

from cluster.errors import Unavailable

LIMIT_S: Final = 20.0


async def used_endpoints(engine_socket: Path) -> frozenset[str]:
    """Return the endpoint IDs of all containers, running or not.

    Raises:
        Unavailable: the engine does not answer, or not as expected.
    """
    try:
        async with asyncio.timeout(LIMIT_S):
            reader, writer = await asyncio.open_unix_connection(engine_socket)
            try:
                writer.write(
                    b"GET /containers/json?all=1 HTTP/1.0\r\n"
                    b"Host: engine\r\nConnection: close\r\n\r\n"
                )
                answer = await reader.read(-1)
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"{engine_socket}: {error or 'no answer'}") from error
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise Unavailable(f"{engine_socket}: {head.splitlines()[:1]}")
    try:
        containers = msgspec.json.decode(body, type=list[_Container])
    except msgspec.DecodeError as error:
        raise Unavailable(f"{engine_socket}: list of containers: {error}") from error
    return frozenset(
        endpoint.EndpointID
        for container in containers
        for endpoint in container.NetworkSettings.Networks.values()
        if endpoint.EndpointID
    )


class _Endpoint(msgspec.Struct):
    EndpointID: str = ""


class _Settings(msgspec.Struct):
    Networks: dict[str, _Endpoint] = {}


class _Container(msgspec.Struct):
    NetworkSettings: _Settings
