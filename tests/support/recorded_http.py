"""What a client asked and was answered: a socket between it and a server that takes notes."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

_ID = re.compile(r"(?<![0-9a-z])(?:[0-9a-z]{25}|[0-9a-f]{64}|[0-9a-f]{12})(?![0-9a-z])")
_PIECE = 64 * 1024


@dataclass(frozen=True)
class Exchange:
    """A request and its answer; `body` is decoded JSON, or None for anything else."""

    method: str
    path: str
    status: int
    body: Any

    @property
    def key(self) -> str:
        """Method, path without what differs between two runs, and status."""
        return f"{self.method} {template(self.path)} {self.status}"


def template(path: str) -> str:
    """A path without version, identifiers and the values of its query."""
    parts = urlsplit(re.sub(r"^/v[0-9.]+", "", path))
    names = sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)})
    return without_ids(parts.path) + (f"?{'&'.join(names)}" if names else "")


def without_ids(text: str) -> str:
    """A text with ID in place of the identifiers of objects and containers."""
    return _ID.sub("ID", text)


def members(value: Any, place: str = "") -> set[str]:
    """The places of all members in a JSON value; items of lists are one place."""
    found = set()
    if isinstance(value, dict):
        for name, member in value.items():
            inner = f"{place}.{without_ids(str(name))}"
            found |= {inner} | members(member, inner)
    elif isinstance(value, list):
        for item in value:
            found |= members(item, f"{place}[]")
    return found


class Recorder:
    """Listens on a socket of its own and passes everything on to the server's."""

    def __init__(self, socket_path: Path, server: Path) -> None:
        self._server = server
        self._streams: list[tuple[bytearray, bytearray]] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(socket_path))
        self._listener.listen(64)

    def take(self) -> list[Exchange]:
        """What was exchanged since the last look; all clients must have ended."""
        streams, self._streams = self._streams, []
        return [exchange for pair in streams for exchange in _exchanges(*map(bytes, pair))]

    def run(self) -> None:
        """Accept connections until the listener is closed."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._server))
            sent, got = bytearray(), bytearray()
            self._streams.append((sent, got))
            arguments = (client, server, sent, got)
            thread = threading.Thread(target=_carry, args=arguments, daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """End all connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)


@contextmanager
def recording(socket_path: Path, server: Path) -> Iterator[Recorder]:
    """Record what clients of `socket_path` exchange with the server behind another socket."""
    recorder = Recorder(socket_path, server)
    accepting = threading.Thread(target=recorder.run, daemon=True)
    accepting.start()
    try:
        yield recorder
    finally:
        recorder.close()
        accepting.join(10)


def _carry(client: socket.socket, server: socket.socket, sent: bytearray, got: bytearray) -> None:
    """Copy both directions to their ends."""
    with client, server:
        up = threading.Thread(target=_copy, args=(client, server, sent), daemon=True)
        up.start()
        _copy(server, client, got)
        up.join()


def _copy(source: socket.socket, target: socket.socket, notes: bytearray) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_PIECE):
            notes += data
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class _Sock:
    """The part of a socket that http.client reads from."""

    def __init__(self, data: io.BytesIO) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return self._data


def _exchanges(sent: bytes, got: bytes) -> Iterator[Exchange]:
    requests, answers = io.BytesIO(sent), _Unclosed(got)
    while line := requests.readline():
        method, path, _ = line.decode("latin-1").split(" ", 2)
        fields = http.client.parse_headers(requests)
        if fields.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(requests.readline() or b"0", 16):
                requests.read(size + 2)
            requests.readline()
        else:
            requests.read(int(fields.get("Content-Length") or 0))
        answer = http.client.HTTPResponse(_Sock(answers), method=method)  # type: ignore[arg-type]
        try:
            answer.begin()
        except (http.client.HTTPException, ValueError):
            return  # it was cut off before an answer
        if answer.status == 101:
            yield Exchange(method, path, 101, None)
            return
        body: Any = None
        with contextlib.suppress(ValueError, http.client.HTTPException):
            body = json.loads(answer.read())
        yield Exchange(method, path, answer.status, body)


class _Unclosed(io.BytesIO):
    """Stays open when one answer has been read: the next follows."""

    def close(self) -> None:
        pass
