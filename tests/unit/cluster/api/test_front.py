"""The front with a real HTTP server behind it and a small engine at the other end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from cluster.api.front import FrontProtocol, FrontSettings

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

UPGRADE = (
    b"POST /v1.50/exec/a/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
)
PLAIN = b"POST /plain HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\n"


class _Engine:
    """What the front knows of the engine; its version is 1.41."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket

    async def path_for(self, path: str) -> str:
        return path.replace("/v1.50/", "/v1.41/")


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Upgrade, then return all bytes once the last one has come."""
    head = await reader.readuntil(b"\r\n\r\n")
    writer.write(UPGRADED)
    data = await reader.read()
    writer.write(head.split(b"\r\n")[0] + b"|" + data)


@asynccontextmanager
async def _front(tmp_path: Path, talk: Talk | None) -> AsyncIterator[Path]:
    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert talk is not None
        await talk(reader, writer)
        writer.close()

    async def handle(request: web.BaseRequest) -> web.Response:
        return web.Response(body=b"http " + await request.read())

    engine_socket, front_socket = tmp_path / "engine.sock", tmp_path / "front.sock"
    server = None
    if talk is not None:
        server = await asyncio.start_unix_server(engine, str(engine_socket))
    async with asyncio.TaskGroup() as group:
        http = web.Server(handle, access_log=None)
        settings = FrontSettings(
            http, _Engine(engine_socket), lambda _, path: path.startswith("/v1.50/exec/"), group
        )
        front = await asyncio.get_running_loop().create_unix_server(
            lambda: FrontProtocol(settings), str(front_socket)
        )
        yield front_socket
        front.close()
        await http.shutdown(1)
        for connection in tuple(settings.connections):
            connection.abort()
        for _ in range(3):
            await asyncio.sleep(0)
        assert not settings.connections
    if server is not None:
        server.close()


async def _read_answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
    return await reader.readexactly(int(fields[b"Content-Length"]))


async def test_an_upgrade_is_spliced_and_each_direction_ends_by_itself(tmp_path: Path) -> None:
    async with _front(tmp_path, _echo) as socket:
        reader, writer = await asyncio.open_unix_connection(str(socket))
        writer.write(UPGRADE + b"early ")
        assert await reader.readexactly(len(UPGRADED)) == UPGRADED
        writer.write(b"late")
        writer.write_eof()
        assert await reader.read() == b"POST /v1.41/exec/a/start HTTP/1.1|early late"
        writer.close()


async def test_input_that_ends_before_the_engine_is_there_is_not_lost(tmp_path: Path) -> None:
    async with _front(tmp_path, _echo) as socket:
        reader, writer = await asyncio.open_unix_connection(str(socket))
        writer.write(UPGRADE + b"all")
        writer.write_eof()
        assert (await reader.read()).endswith(b"|all")
        writer.close()


async def test_a_kept_connection_may_ask_for_an_upgrade_later(tmp_path: Path) -> None:
    async with _front(tmp_path, _echo) as socket:
        reader, writer = await asyncio.open_unix_connection(str(socket))
        for _ in range(2):
            writer.write(PLAIN)
            assert await _read_answer(reader) == b"http hello"
        writer.write(UPGRADE + b"all")
        writer.write_eof()
        assert (await reader.read()).endswith(b"|all")
        writer.close()


async def test_a_body_that_looks_like_an_upgrade_is_a_body(tmp_path: Path) -> None:
    head = f"POST /plain HTTP/1.1\r\nHost: x\r\nContent-Length: {len(UPGRADE)}\r\n\r\n".encode()
    async with _front(tmp_path, None) as socket:
        reader, writer = await asyncio.open_unix_connection(str(socket))
        writer.write(head + UPGRADE)
        assert await _read_answer(reader) == b"http " + UPGRADE
        writer.close()


async def test_after_a_refused_upgrade_the_client_connects_anew(tmp_path: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n")
        await writer.drain()
        writer.write(b"no")
        await reader.read()

    async with _front(tmp_path, refuse) as socket:
        reader, writer = await asyncio.open_unix_connection(str(socket))
        writer.write(UPGRADE)
        answer = await reader.read()
        assert b"Connection: close" in answer
        assert answer.endswith(b"\r\n\r\nno")
        writer.close()


async def test_a_slow_client_slows_the_engine(tmp_path: Path) -> None:
    size = 30_000_000

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(UPGRADED)
        for _ in range(size // 100_000):
            writer.write(b"x" * 100_000)
            await writer.drain()

    async with _front(tmp_path, flood) as socket:
        reader, writer = await asyncio.open_unix_connection(str(socket))
        writer.write(UPGRADE)
        await reader.readexactly(len(UPGRADED))
        assert len(await reader.read()) == size
        writer.close()


async def test_a_slow_engine_slows_the_client(tmp_path: Path) -> None:
    async with _front(tmp_path, _echo) as socket:
        reader, writer = await asyncio.open_unix_connection(str(socket))
        writer.write(UPGRADE)
        await reader.readexactly(len(UPGRADED))
        for _ in range(200):
            writer.write(b"y" * 100_000)
            await writer.drain()
        writer.write_eof()
        assert (await reader.read()).count(b"y") == 20_000_000
        writer.close()


async def test_without_an_engine_the_client_is_told(tmp_path: Path) -> None:
    async with _front(tmp_path, None) as socket:
        reader, writer = await asyncio.open_unix_connection(str(socket))
        writer.write(UPGRADE)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"cannot reach the local Docker Engine at" in answer
        writer.close()


@pytest.mark.parametrize(
    "garbage", [b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"]
)
async def test_garbage_is_answered_by_the_http_library(tmp_path: Path, garbage: bytes) -> None:
    async with _front(tmp_path, None) as socket:
        reader, writer = await asyncio.open_unix_connection(str(socket))
        writer.write(garbage)
        assert b" 400 " in (await reader.read()).split(b"\r\n")[0]
        writer.close()


async def test_connections_end_with_the_server(tmp_path: Path) -> None:
    async with _front(tmp_path, _echo) as socket:
        reader, writer = await asyncio.open_unix_connection(str(socket))
        writer.write(UPGRADE)
        await reader.readexactly(len(UPGRADED))
    assert await reader.read() == b""
    writer.close()
