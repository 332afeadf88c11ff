"""The local Docker Engine behind this socket: its version, small questions, and streams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from cluster.api.versions import ApiVersion, engine_path, parse_version
from cluster.errors import InvalidArgument, Unavailable

_QUESTION_TIMEOUT_S = 30.0
_LEARN_TIMEOUT_S = 2.0  # an engine that hangs must not hold up what the cluster can answer itself
_HEADERS_NOT_ADDED = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")
_MAX_HEADER_BYTES = 256 * 1024


class EngineAnswer:
    """A complete answer of the engine."""

    def __init__(self, status: int, body: bytes) -> None:
        """Take the HTTP status and the body."""
        self.status = status
        self.body = body

    def json(self) -> Any:
        """Return the body as plain Python values.

        Raises:
            Unavailable: it is no JSON, so whatever answered is no Docker Engine.
        """
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            raise Unavailable("the local Docker Engine's answer is not JSON") from None


class Engine:
    """The engine at a unix socket; requests are made one a connection.

    A kept connection would be dead after a restart of the engine, which a request with a body
    could only find out too late to be sent again.
    """

    def __init__(self, socket: Path, session: aiohttp.ClientSession) -> None:
        """Use an open session; `open_engine` makes one."""
        self.socket = socket
        self._session = session
        self._oldest: ApiVersion | None = None
        self._newest: ApiVersion | None = None
        self._release = ""

    async def newest_version(self) -> ApiVersion | None:
        """Return the newest API version the engine serves; None if it can't be asked."""
        if self._newest is None:
            await self._learn()
        return self._newest

    async def release(self) -> str:
        """Return the engine's own version, for example ``20.10.24``, empty if not known."""
        if self._newest is None:
            await self._learn()
        return self._release

    async def version(self, timeout_s: float = _QUESTION_TIMEOUT_S) -> dict[str, Any]:
        """Return the engine's answer to ``/version``, and remember what it serves.

        Raises:
            Unavailable: the engine cannot be reached.
        """
        answer = await self.ask("GET", "/version", timeout_s=timeout_s)
        content = answer.json()
        if answer.status != 200 or not isinstance(content, dict):
            raise Unavailable(
                f"the local Docker Engine at {self.socket} does not tell its version "
                f"(status {answer.status})"
            )
        try:
            self._newest = parse_version(str(content.get("ApiVersion", "")))
            self._oldest = parse_version(str(content.get("MinAPIVersion", "1.12")))
        except InvalidArgument as error:
            raise Unavailable(f"the local Docker Engine at {self.socket}: {error}") from None
        self._release = str(content.get("Version", ""))
        return content

    async def path_for(self, path: str) -> str:
        """Return a path with its version moved into what the engine serves."""
        newest = await self.newest_version()
        return engine_path(path, self._oldest, newest)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        content: Any = None,
        timeout_s: float = _QUESTION_TIMEOUT_S,
    ) -> EngineAnswer:
        """Send a request and return the complete answer.

        Args:
            method: the HTTP method.
            path: path and query, percent-encoded, the version as the engine knows it.
            content: goes along as JSON, unless it is None.
            timeout_s: longest wait for the whole answer.

        Raises:
            Unavailable: the engine cannot be reached or takes too long.
        """
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        body = None if content is None else msgspec.json.encode(content)
        headers = None if content is None else {"Content-Type": "application/json"}
        async with self.stream(
            method, path, headers=headers, body=body, timeout=timeout
        ) as response:
            return EngineAnswer(response.status, await response.read())

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: AsyncIterator[bytes] | bytes | None = None,
        timeout: aiohttp.ClientTimeout | None = None,  # noqa: ASYNC109 - aiohttp's own
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and yield the answer once its head is there.

        Raises:
            Unavailable: the engine cannot be reached, or broke off before an answer.
        """
        try:
            context = self._session.request(
                method,
                URL(f"http://docker{path}", encoded=True),
                data=body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
                skip_auto_headers=_HEADERS_NOT_ADDED,
            )
            response = await context
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(
                f"cannot reach the local Docker Engine at {self.socket}: "
                f"{_reason(error)}; is dockerd running?"
            ) from error
        self._notice(response.headers.get("Api-Version", ""))
        async with response:
            yield response

    def _notice(self, newest: str) -> None:
        """Ask again what the engine serves when another one answers, such as after an upgrade."""
        if newest and self._newest is not None and newest != str(self._newest):
            self._newest = None

    async def _learn(self) -> None:
        try:
            await self.version(_LEARN_TIMEOUT_S)
        except Unavailable:
            return


@asynccontextmanager
async def open_engine(socket: Path) -> AsyncIterator[Engine]:
    """Open the way to the engine at a unix socket; it is not contacted yet."""
    connector = aiohttp.UnixConnector(str(socket), limit=0, force_close=True)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
        max_line_size=_MAX_HEADER_BYTES,
        max_field_size=_MAX_HEADER_BYTES,
    ) as session:
        yield Engine(socket, session)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
