"""A client of the server's socket, and what it sends."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from cluster.api.server import ApiServer
from tests.compat.memory_node import MemoryNode, counting_ids
from tests.support.manual_clock import ManualClock
from tests.unit.cluster.api.golden_files import golden

SERVICE: dict[str, Any] = {
    "Name": "web",
    "TaskTemplate": {"ContainerSpec": {"Image": "busybox"}},
    "Mode": {"Replicated": {"Replicas": 2}},
}


class Client:
    """Requests to one socket."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def __call__(
        self, method: str, path: str, body: Any = None, **query: str
    ) -> tuple[int, Any]:
        """Return status and content, decoded if it is JSON."""
        data = body if body is None or isinstance(body, io.BytesIO) else json.dumps(body).encode()
        async with self.session.request(
            method, f"http://d{path}", data=data, params=query
        ) as answer:
            content: Any = await answer.read()
            if content and answer.headers["Content-Type"] == "application/json":
                content = json.loads(content)
            return answer.status, content


class HeaderClient:
    """Requests to one socket with headers of their own, as an administrator or with a token."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.token = ""

    async def __call__(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, Any]:
        """Return status and content, decoded if it is JSON."""
        data = None if body is None else json.dumps(body).encode()
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        async with self._session.request(
            method, f"http://d{path}", data=data, headers=headers
        ) as answer:
            content: Any = await answer.read()
            if content and answer.headers.get("Content-Type") == "application/json":
                content = json.loads(content)
            return answer.status, content


C = TypeVar("C", bound=HeaderClient)


@asynccontextmanager
async def cluster_client(
    kind: type[C], node: MemoryNode, clock: ManualClock, folder: Path
) -> AsyncIterator[C]:
    """A client of a manager in memory; the socket of its engine is ``engine.sock`` in `folder`."""
    server = ApiServer(node, folder / "engine.sock", clock, counting_ids())
    connector = aiohttp.UnixConnector(str(folder / "stackd.sock"))
    async with (
        server.serving(folder / "stackd.sock"),
        aiohttp.ClientSession(connector=connector) as session,
    ):
        client = kind(session)
        await client("POST", "/swarm/init", golden("swarm-init-request"))
        yield client


@asynccontextmanager
async def client_of(socket: Path) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session:
        yield Client(session)
