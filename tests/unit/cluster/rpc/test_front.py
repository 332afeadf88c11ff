"""The public port: who gets a connection, and that bytes pass through unharmed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl

import pytest

from cluster.errors import FailedPrecondition
from cluster.rpc.front import open_front
from cluster.rpc.splice import splice
from cluster.rpc.tls_context import server_context, unverified_client_context
from tests.support.identities import credentials


async def ask(addr, name: str) -> bytes:
    reader, writer = await asyncio.open_connection(
        *addr, ssl=unverified_client_context(), server_hostname=name
    )
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def tls_server(path, answer: bytes):
    async def serve(reader, writer):
        writer.write(answer)
        await writer.drain()
        writer.close()

    context = server_context(credentials("m1", "manager"))
    return await asyncio.start_unix_server(serve, path, ssl=context)


async def test_the_name_in_the_greeting_decides_who_serves(tmp_path) -> None:
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    async with await tls_server(one, b"one"), await tls_server(two, b"two"):
        routes = {"one.test": lambda connection: splice(connection, one)}
        async with open_front("127.0.0.1", 0, routes, lambda c: splice(c, two)) as addr:
            assert await ask(addr, "one.test") == b"one"
            assert await ask(addr, "swarm-manager") == b"two"


async def test_large_data_passes_both_ways_with_half_close(tmp_path) -> None:
    path = str(tmp_path / "echo")

    async def echo_after_end(reader, writer):
        writer.write(await reader.read())
        writer.write_eof()
        await writer.drain()
        writer.close()

    # after the greeting the front passes bytes without looking at them
    data = HELLO + bytes(range(256)) * 20_000
    async with (
        await asyncio.start_unix_server(echo_after_end, path),
        open_front("127.0.0.1", 0, {}, lambda c: splice(c, path)) as addr,
    ):
        reader, writer = await asyncio.open_connection(*addr)
        writer.write(data)
        writer.write_eof()
        got = await reader.read()
        writer.close()
    assert got == data


async def test_a_greeting_in_pieces_is_waited_for(tmp_path) -> None:
    path = str(tmp_path / "echo")

    async def echo(reader, writer):
        writer.write(await reader.readexactly(len(HELLO)))
        await writer.drain()
        writer.close()

    async with (
        await asyncio.start_unix_server(echo, path),
        open_front("127.0.0.1", 0, {}, lambda c: splice(c, path)) as addr,
    ):
        reader, writer = await asyncio.open_connection(*addr)
        for piece in (HELLO[:3], HELLO[3:40], HELLO[40:]):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)  # lets the kernel deliver it by itself
        assert await reader.read() == HELLO
        writer.close()


@pytest.mark.parametrize("greeting", [b"GET / HTTP/1.1\r\n\r\n", b"", b"\x16\x03\x01\x40\x00abc"])
async def test_what_is_no_tls_is_hung_up_on(greeting: bytes) -> None:
    async def never(connection):
        raise AssertionError("not reached")

    async with open_front("127.0.0.1", 0, {}, never) as addr:
        reader, writer = await asyncio.open_connection(*addr)
        writer.write(greeting)
        writer.write_eof()
        with contextlib.suppress(ConnectionResetError):  # hung up on with bytes unread
            assert await reader.read() == b""
        writer.close()


async def test_a_handler_that_fails_harms_no_other_connection(tmp_path) -> None:
    path = str(tmp_path / "good")

    async def broken(connection):
        raise ZeroDivisionError

    async with (
        await tls_server(path, b"good"),
        open_front("127.0.0.1", 0, {"bad": broken}, lambda c: splice(c, path)) as addr,
    ):
        with pytest.raises((OSError, ssl.SSLError)):
            await ask(addr, "bad")
        assert await ask(addr, "good") == b"good"


async def test_the_end_of_the_context_ends_connections_and_frees_the_port(tmp_path) -> None:
    async def forever(connection):
        await asyncio.Event().wait()

    async with open_front("127.0.0.1", 0, {}, forever) as addr:
        reader, writer = await asyncio.open_connection(*addr)
        writer.write(HELLO)
        await asyncio.sleep(0.02)  # lets the connection be accepted
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    writer.close()
    async with open_front(*addr, {}, forever):
        pass


async def test_a_taken_port_is_named() -> None:
    async def nobody(connection):
        pass

    async with open_front("127.0.0.1", 0, {}, nobody) as (host, port):
        with pytest.raises(FailedPrecondition, match=f"cannot listen on 127.0.0.1 port {port}"):
            async with open_front(host, port, {}, nobody):
                pass


def _hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = unverified_client_context().wrap_bio(incoming, outgoing, server_hostname="swarm-manager")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


HELLO = _hello()


async def test_whoever_reads_slowly_holds_the_sender_up(tmp_path) -> None:
    path = str(tmp_path / "slow")
    may_read = asyncio.Event()
    got = 0

    async def read_later(reader, writer):
        nonlocal got
        await may_read.wait()
        while data := await reader.read(1 << 20):
            got += len(data)
        writer.close()

    async with (
        await asyncio.start_unix_server(read_later, path),
        open_front("127.0.0.1", 0, {}, lambda c: splice(c, path)) as addr,
    ):
        client = socket.create_connection(addr)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client, HELLO)
        sent, refused = len(HELLO), 0
        while refused < 20 and sent < 100 << 20:
            try:
                sent += client.send(bytes(1 << 20))
                refused = 0
            except BlockingIOError:
                refused += 1
                await asyncio.sleep(0.01)  # lets the front read, if it wants to
        assert sent < 50 << 20  # what the kernel holds, not what the front would
        may_read.set()
        client.shutdown(socket.SHUT_WR)
        assert await loop.sock_recv(client, 1) == b""
        client.close()
    assert got == sent


async def test_an_end_that_breaks_off_breaks_the_other_off(tmp_path) -> None:
    path = str(tmp_path / "breaks")

    async def break_off(reader, writer):
        await reader.readexactly(len(HELLO))
        writer.transport.abort()

    async with (
        await asyncio.start_unix_server(break_off, path),
        open_front("127.0.0.1", 0, {}, lambda c: splice(c, path)) as addr,
    ):
        reader, writer = await asyncio.open_connection(*addr)
        writer.write(HELLO)
        assert await reader.read() == b""
        writer.close()
