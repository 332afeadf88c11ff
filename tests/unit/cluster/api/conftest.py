"""Servers without an engine, and before a small one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from cluster.api.server import ApiServer
from tests.compat.memory_node import MANAGER_ID, MemoryNode, counting_ids
from tests.support.manual_clock import ManualClock
from tests.unit.cluster.api.api_client import Client, client_of
from tests.unit.cluster.api.golden_files import golden


@pytest.fixture
def local_node() -> MemoryNode:
    return MemoryNode()


@pytest.fixture
async def api(local_node: MemoryNode, tmp_path: Path) -> AsyncIterator[Client]:
    """A node in no cluster, without an engine."""
    server = ApiServer(local_node, tmp_path / "nothing.sock", ManualClock(), counting_ids())
    async with server.serving(tmp_path / "stackd.sock"), client_of(tmp_path / "stackd.sock") as it:
        yield it


@pytest.fixture
async def manager(api: Client) -> Client:
    status, node_id = await api("POST", "/swarm/init", golden("swarm-init-request"))
    assert (status, node_id) == (200, MANAGER_ID)
    return api


@pytest.fixture
def engine_says() -> dict[str, str]:
    """The versions that the small engine serves."""
    return {"ApiVersion": "1.41", "MinAPIVersion": "1.30"}


@pytest.fixture
async def with_engine(
    local_node: MemoryNode, tmp_path: Path, engine_says: dict[str, str]
) -> AsyncIterator[Client]:
    """A node whose engine tells what it was asked."""

    streams: list[web.Request] = []

    async def engine(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/version"):
            content = {
                "Version": "20.10.24",
                **engine_says,
                "Components": [{"Name": "Engine", "Details": {"ApiVersion": "1.41"}}],
            }
            return web.json_response(content)
        if request.path.endswith("/info"):
            return web.json_response({"Name": "vm", "Plugins": {"Network": ["bridge"]}})
        if request.path.endswith("/containers/json"):
            task = {"Id": "t", "Labels": {"com.docker.swarm.task.id": "t"}}
            plain = [{"Id": number, "Labels": None} for number in "abc"]
            return web.json_response([{"Id": request.raw_path}, task, *plain])
        if request.path.endswith("/networks"):
            return web.json_response([{"Name": "bridge", "Id": "b1"}])
        if request.path.endswith("/streams"):
            return web.json_response(len(streams))
        if request.path.endswith("/events"):
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"first\n")
            streams.append(request)
            try:
                await asyncio.Event().wait()
            finally:
                streams.remove(request)
        if request.path.endswith("/broken"):
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"half")
            assert request.transport is not None
            request.transport.abort()
            return response
        body = await request.read()
        headers = {"X-Seen": request.headers.get("X-Sent", ""), "Content-Encoding": "gzip"}
        headers["Api-Version"] = engine_says["ApiVersion"]
        content = f"{request.method} {request.raw_path} ".encode() + body
        return web.Response(status=299, body=content, headers=headers)

    application = web.Application(client_max_size=1 << 30)
    application.router.add_route("*", "/{path:.*}", engine)
    runner = web.AppRunner(application, handler_cancellation=True)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "engine.sock")).start()
    server = ApiServer(local_node, tmp_path / "engine.sock", ManualClock(), counting_ids())
    async with server.serving(tmp_path / "stackd.sock"), client_of(tmp_path / "stackd.sock") as it:
        it.session._auto_decompress = False
        yield it
    await runner.cleanup()
