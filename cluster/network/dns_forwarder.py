"""Names of the outside, asked of the resolvers of the host, from the host's network."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import random
from pathlib import Path
from typing import Final

from cluster.network.dns_message import with_identifier

RESOLV_CONF: Final = Path("/etc/resolv.conf")
PORT: Final = 53
ANSWER_LIMIT_S: Final = 2.0
MAX_AT_A_TIME: Final = 256


class Forwarder:
    """Passes queries on; a random port and identifier for each make answers hard to forge."""

    def __init__(self, rng: random.Random, resolv_conf: Path = RESOLV_CONF) -> None:
        self._rng = rng
        self._resolv_conf = resolv_conf
        self._read_at = 0
        self._servers: list[str] = []
        self._room = asyncio.Semaphore(MAX_AT_A_TIME)

    async def ask(self, query: bytes, *, over_tcp: bool) -> bytes | None:
        """Return the first answer of a resolver, or None if none answers."""
        identifier = self._rng.getrandbits(16)
        sent = with_identifier(query, identifier)
        way = _over_tcp if over_tcp else _over_udp
        async with self._room:
            for server in self.servers():
                with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                    async with asyncio.timeout(ANSWER_LIMIT_S):
                        answer = await way(server, sent)
                    return with_identifier(answer, int.from_bytes(query[:2], "big"))
        return None

    def servers(self) -> list[str]:
        """Return the host's resolvers; the file is read again when it has changed."""
        try:
            changed_at = self._resolv_conf.stat().st_mtime_ns
            if changed_at != self._read_at:
                self._servers = parse_resolv_conf(self._resolv_conf.read_text(errors="replace"))
                self._read_at = changed_at
        except OSError:
            self._servers, self._read_at = [], 0
        return self._servers


def parse_resolv_conf(text: str) -> list[str]:
    """Return the addresses of the lines ``nameserver``."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            with contextlib.suppress(ValueError):
                ipaddress.ip_address(words[1].partition("%")[0])
                found.append(words[1])
    return found


class _Exchange(asyncio.DatagramProtocol):
    def __init__(self, query: bytes) -> None:
        self._query = query
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:  # noqa: ARG002 - connected
        if data[:2] == self._query[:2] and len(data) >= 12 and not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _over_udp(server: str, query: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    transport, exchange = await loop.create_datagram_endpoint(
        lambda: _Exchange(query), remote_addr=(server, PORT)
    )
    try:
        transport.sendto(query)
        return await exchange.answer
    finally:
        transport.close()


async def _over_tcp(server: str, query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(server, PORT)
    try:
        writer.write(len(query).to_bytes(2, "big") + query)
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    finally:
        writer.close()
