"""A client of the server's socket, and what it sends."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

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


@asynccontextmanager
async def client_of(socket: Path) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session:
        yield Client(session)
