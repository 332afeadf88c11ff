"""The client of the network process, against a server on a real socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from cluster.errors import Unavailable
from cluster.executor.network_process import (
    GRACE_S,
    LOOK_EVERY_S,
    NetworkProcessClient,
    NetworkProcessFailure,
)
from cluster.model.network_view import NodeView

VIEW = NodeView(own_index=1, own_address="192.0.2.1", revision=5)


@asynccontextmanager
async def answering(path: Path, status: str, body: bytes) -> AsyncIterator[list[bytes]]:
    """Answer every request alike; what was asked is in the list."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split()[0])
        asked.append(head.splitlines()[0] + b" " + await reader.readexactly(length))
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(answer, path):
        yield asked


async def test_a_view_is_put_whole(tmp_path: Path) -> None:
    path = tmp_path / "netd.sock"
    client = NetworkProcessClient(path)
    assert not client.is_there()
    async with answering(
        path, "200 OK", b'{"revision": 5, "problems": {"front": "no address"}}'
    ) as asked:
        assert client.is_there()
        assert await client.put_view(VIEW) == {"front": "no address"}
    assert asked == [b"PUT /view HTTP/1.1 " + msgspec.json.encode(VIEW)]


async def test_the_view_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "netd.sock"
    async with answering(path, "200 OK", msgspec.json.encode(VIEW)):
        assert await NetworkProcessClient(path).view() == VIEW
    path.unlink(missing_ok=True)
    async with answering(path, "404 Not Found", b""):
        assert await NetworkProcessClient(path).view() is None


async def test_what_it_could_not_do_is_told(tmp_path: Path) -> None:
    path = tmp_path / "netd.sock"
    async with answering(path, "500 Internal Server Error", b"vxlan: no such device"):
        with pytest.raises(NetworkProcessFailure, match="500: vxlan: no such device"):
            await NetworkProcessClient(path).put_view(VIEW)


async def test_a_process_that_is_away_can_be_tried_again(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="network process is away: No such file"):
        await NetworkProcessClient(tmp_path / "netd.sock").put_view(VIEW)


async def test_a_file_without_a_process_behind_it_counts_for_a_moment_only(tmp_path: Path) -> None:
    path, now = tmp_path / "netd.sock", [0.0]
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    client = NetworkProcessClient(path, clock=lambda: now[0])
    assert not client.is_there()
    path.unlink()
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(path))
        alive.listen()
        assert client.is_there()
    now[0] += LOOK_EVERY_S
    assert client.is_there()  # it may be starting again
    assert not client.accepts()
    now[0] += GRACE_S
    assert not client.is_there()


async def test_the_end_of_a_process_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "netd.sock"
    client = NetworkProcessClient(path)
    with pytest.raises(Unavailable):
        await client.until_gone()
    served: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    async with (
        await asyncio.start_unix_server(lambda _, writer: served.put_nowait(writer), path),
        asyncio.TaskGroup() as group,
    ):
        waiting = group.create_task(client.until_gone())
        writer = await served.get()
        assert not waiting.done()
        writer.close()
        await waiting
