"""A connection to an Engine API: unix socket, TCP or TLS, kept open between requests.

Written over sockets: the docker SDK takes a third of a second to import, which a command line must
not spend before its first request.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from stack.engine.endpoint import Endpoint, find_endpoint
from stack.engine.http_connection import Answer, HttpConnection, HttpError
from stack.engine.transport import open_socket
from stack.errors import (
    Conflict,
    EngineError,
    EngineUnreachable,
    NotFound,
    OutOfSequence,
    Unavailable,
)

NEWEST_API = (1, 50)

_BYTES = "application/octet-stream"
_HEADERS = {"Host": "stack", "User-Agent": "stackyard"}

_COMMANDS = {
    "swarm init": "cluster init",
    "swarm join": "cluster join",
    "swarm leave": "cluster leave",
    "swarm join-token": "cluster token",
    "swarm unlock": "cluster unlock",
    "node ls": "node ls",
    "node rm": "node rm",
    "node update": "node update",
}
_ADVICE = re.compile(rf'"docker ({"|".join(_COMMANDS)})(?![\w-])')


class Connection:
    """Sends requests one after the other and turns error answers into our errors."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._prefix = ""
        self._http: HttpConnection | None = None
        self.standing: Mapping[str, str] = {}  # headers that go with every request

    @classmethod
    def to(cls, host: str, token: str = "") -> Self:
        """A connection to the endpoint that `host` and the process's environment name.

        `token` goes before the environment's.
        """
        more = {"STACK_TOKEN": token} if token else {}
        return cls(find_endpoint(host, {**os.environ, **more}))

    def another(self) -> Connection:
        """A connection to the same endpoint."""
        return Connection(self._endpoint)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; a later request opens it again."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request and give the decoded JSON of the answer, or None when it has no body.

        An answer of plain bytes is given as they are.

        Args:
            method: GET, POST or DELETE.
            path: without version prefix, as "/services/create".
            query: parameters; dicts are sent as JSON, None values left out.
            body: sent as JSON when not None, bytes as they are.
            headers: sent beside the usual ones.

        Raises:
            EngineError: the API answered with an error; see `stack.errors` for the kinds.
            EngineUnreachable: nobody answered.
        """
        if not self._prefix:
            self._prefix = self._negotiate()
        return self._exchange(method, self._prefix + path + _query_string(query), body, headers)

    def stream(
        self,
        path: str,
        query: Mapping[str, object] | None = None,
        *,
        patience_s: float | None = None,
    ) -> Iterator[bytes]:
        """Send a GET request and iterate over the answer's bytes as they come, however late.

        Args:
            path: as with `request`.
            query: as with `request`.
            patience_s: the longest silence, in seconds; without it there may be any.

        Raises:
            EngineError: the API answered with an error; see `stack.errors` for the kinds.
            EngineUnreachable: nobody answered, or the stream broke off.
        """
        if not self._prefix:
            self._prefix = self._negotiate()
        connection = HttpConnection(lambda: open_socket(self._endpoint))
        try:
            target = self._prefix + path + _query_string(query)
            answer = connection.ask("GET", target, self._headers())
            if answer.status >= 400:
                raise _error(answer.status, answer.read())
            answer.be_patient(patience_s)
            while piece := answer.read_piece():
                yield piece
        except (HttpError, OSError) as error:
            raise self._unreachable(error) from None
        finally:
            connection.close()

    def _negotiate(self) -> str:
        """The version prefix: the newest that both sides know."""
        self._exchange("GET", "/_ping", None, None)
        return f"/v{NEWEST_API[0]}.{NEWEST_API[1]}" if not self._prefix else self._prefix

    def _exchange(
        self, method: str, target: str, body: object, more_headers: Mapping[str, str] | None
    ) -> Any:
        headers = {**self._headers(), **(more_headers or {})}
        payload = None
        if isinstance(body, bytes):
            payload = body
            headers["Content-Type"] = _BYTES
        elif body is not None:
            payload = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        elif method == "POST":
            headers["Content-Length"] = "0"
        reused = self._http is not None
        try:
            answer, data = self._send(method, target, payload, headers)
        except (HttpError, OSError) as error:
            self.close()
            # A server may close an idle connection at any time; a read is safe to repeat.
            if not (reused and method == "GET"):
                raise self._unreachable(error) from None
            try:
                answer, data = self._send(method, target, payload, headers)
            except (HttpError, OSError) as again:
                self.close()
                raise self._unreachable(again) from None
        if not self._prefix:
            self._prefix = _common_version(answer.headers.get("api-version"))
        if answer.status >= 400:
            raise _error(answer.status, data)
        return _decode(answer.headers.get("content-type", ""), data)

    def _headers(self) -> dict[str, str]:
        token = self._endpoint.token
        headers = {**_HEADERS, **self.standing}
        return {**headers, "Authorization": f"Bearer {token}"} if token else headers

    def _send(
        self, method: str, target: str, payload: bytes | None, headers: Mapping[str, str]
    ) -> tuple[Answer, bytes]:
        if self._http is None:
            self._http = HttpConnection(lambda: open_socket(self._endpoint))
        answer = self._http.ask(method, target, headers, payload)
        return answer, answer.read()

    def _unreachable(self, error: Exception) -> EngineUnreachable:
        endpoint = self._endpoint
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if endpoint.scheme == "ssh":
            return EngineUnreachable(f"no answer from {endpoint.url}: {reason}")
        return EngineUnreachable(
            f"no answer from {endpoint.url}: {reason} "
            "(is stackd running? -H or DOCKER_HOST name another)"
        )


def _query_string(query: Mapping[str, object] | None) -> str:
    texts = {
        name: json.dumps(value) if isinstance(value, dict) else str(value)
        for name, value in (query or {}).items()
        if value is not None
    }
    return f"?{urlencode(texts)}" if texts else ""


def _common_version(offered: str | None) -> str:
    try:
        major, minor = (int(part) for part in (offered or "").split("."))
    except ValueError:
        return ""
    version = min((major, minor), NEWEST_API)
    return f"/v{version[0]}.{version[1]}"


def _decode(content_type: str, data: bytes) -> Any:
    if content_type == _BYTES:
        return data
    if not data or not content_type.startswith("application/json"):
        return None
    try:
        return json.loads(data)
    except ValueError as error:
        raise EngineError(200, f"the answer is no JSON: {error}") from None


def _error(status: int, data: bytes) -> EngineError:
    try:
        message = json.loads(data)["message"]
    except (ValueError, KeyError, TypeError):
        message = data.decode(errors="replace").strip() or f"HTTP status {status}"
    message = _in_our_commands(_without_grpc_prefix(str(message)))
    if "out of sequence" in message:
        return OutOfSequence(status, message)
    kinds: dict[int, type[EngineError]] = {404: NotFound, 409: Conflict, 503: Unavailable}
    return kinds.get(status, EngineError)(status, message)


def _in_our_commands(message: str) -> str:
    """Name our commands where an engine's advice names those of Docker's client."""
    return _ADVICE.sub(lambda found: f'"stack {_COMMANDS[found[1]]}', message)


def _without_grpc_prefix(message: str) -> str:
    """Docker's managers put "rpc error: code = X desc = " before some messages."""
    if message.startswith("rpc error: code = ") and " desc = " in message:
        return message.split(" desc = ", 1)[1]
    return message
