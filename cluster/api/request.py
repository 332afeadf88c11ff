"""One request to the API, as the routes see it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from urllib.parse import quote, unquote, urlencode

from aiohttp import web

from cluster.api.versions import NEWEST, ApiVersion, split_path


class ApiRequest:
    """A request: its path without version, the API version to answer in, and parameters."""

    def __init__(
        self, http: web.BaseRequest, version: ApiVersion, headers: Mapping[str, str]
    ) -> None:
        """Take apart what aiohttp read.

        Args:
            http: the request as aiohttp gives it.
            version: the newest that is served; the API version to answer in, unless it is set.
            headers: what every answer carries.
        """
        self.http = http
        self.newest = version
        self.version = version
        self.method = http.method
        self._prefix, self.path = split_path(http.rel_url.raw_path)
        self.query: Mapping[str, str] = http.query
        self.parameters: Mapping[str, str] = {}
        self._headers = headers
        self._body: bytes | None = None

    @property
    def members_version(self) -> ApiVersion:
        """The version whose members a service's spec may have.

        Who speaks the newest that is served may know more: only the local engine keeps it from
        saying so, and the service may run beside newer ones.
        """
        return NEWEST if self.version >= self.newest else self.version

    def parameter(self, name: str) -> str:
        """Return a part of the path that the route names, decoded."""
        return unquote(self.parameters[name])

    async def body(self) -> bytes:
        """Return the whole body; it can still be passed on."""
        if self._body is None:
            self._body = await self.http.read()
        return self._body

    async def body_pieces(self) -> AsyncIterator[bytes]:
        """Iterate over the body as it comes, or over what `body` has read."""
        if self._body is not None:
            yield self._body
            return
        async for piece in self.http.content.iter_any():
            yield piece

    def add_headers(self, response: web.StreamResponse) -> None:
        """Add what every answer carries, in place of what the engine may have said."""
        for name, value in self._headers.items():
            response.headers[name] = value

    def path_with(self, query: Mapping[str, str]) -> str:
        """Return the request's path, version included, with another query."""
        prefix = f"/v{self._prefix}" if self._prefix else ""
        return f"{prefix}{self.path}?{urlencode(query, quote_via=quote)}"
