"""HTTP/1.1 over one socket, as much of it as Engine APIs speak (RFC 9112).

``http.client`` brings the parsers of e-mail and TLS with it, which take a tenth of the time of a
command to import.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping

_PIECE_BYTES = 64 * 1024
_MAX_LINE_BYTES = 64 * 1024
_MAX_HEADERS = 200
_UNTIL_CLOSED = -1


class HttpError(Exception):
    """What came is no answer of an HTTP server, or not all of one."""


class HttpConnection:
    """Sends requests one after the other over a socket that is opened when it is needed."""

    def __init__(self, open_socket: Callable[[], socket.socket]) -> None:
        """Take how to open a socket; its time limit holds for each single step."""
        self._open_socket = open_socket
        self._socket: socket.socket | None = None

    def ask(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Answer:
        """Send a request and wait for the head of its answer.

        The answer must be read to its end before another request.

        Raises:
            OSError: the socket cannot be opened, or fails.
            HttpError: no answer of HTTP came.
        """
        if self._socket is None:
            self._socket = self._open_socket()
        lines = [f"{method} {target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self._socket.sendall(head + (body or b""))
        answer = Answer(self._socket)
        if not answer.is_kept_open:
            self._socket = None  # the answer closes it at its end
        return answer

    def close(self) -> None:
        """Close the socket; a later request opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Answer:
    """Status, headers by name in small letters, and a body that is read as it comes."""

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self._received = bytearray()
        self.status, version = self._status_line()
        self.headers = self._read_headers()
        while 100 <= self.status < 200 and self.status != 101:  # the answer proper comes after
            self.status, version = self._status_line()
            self.headers = self._read_headers()
        self._is_chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        self._left = self._length()  # of the body, or of the chunk that is being read
        options = self.headers.get("connection", "").lower()
        is_asked_to_stay = "close" not in options and (version != "1.0" or "keep-alive" in options)
        self.is_kept_open = self._left != _UNTIL_CLOSED and is_asked_to_stay
        self._is_over = self._left == 0 and not self._is_chunked

    def be_patient(self, seconds: float | None) -> None:
        """Set the longest wait for the next bytes; None for any."""
        self._socket.settimeout(seconds)

    def read(self) -> bytes:
        """Everything that is left of the body.

        Raises:
            OSError: the socket fails.
            HttpError: the body ends too early.
        """
        pieces = []
        while piece := self.read_piece():
            pieces.append(piece)
        return b"".join(pieces)

    def read_piece(self) -> bytes:
        """What there is of the body, waiting for the first byte; b"" at its end.

        Raises:
            OSError: the socket fails.
            HttpError: the body ends too early.
        """
        if self._is_chunked and self._left == 0 and not self._is_over:
            self._begin_chunk()
        if self._is_over:
            self._finish()
            return b""
        piece = self._some(self._left)
        if not piece:
            if self._left != _UNTIL_CLOSED:
                raise HttpError("the answer broke off")
            self._is_over = True
            self._finish()
            return b""
        if self._left != _UNTIL_CLOSED:
            self._left -= len(piece)
            if self._left == 0:
                if self._is_chunked:
                    self._line()  # after a chunk
                else:
                    self._is_over = True
        return piece

    def _finish(self) -> None:
        if not self.is_kept_open:
            self._socket.close()

    def _begin_chunk(self) -> None:
        size = self._line().partition(b";")[0].strip()
        try:
            self._left = int(size, 16)
        except ValueError:
            raise HttpError(f"a piece of the answer has no size: {size[:40]!r}") from None
        if self._left == 0:
            self._is_over = True
            self._read_headers()  # after the last one

    def _length(self) -> int:
        if self.status in (204, 304):
            self._is_chunked = False
            return 0
        if self._is_chunked:
            return 0
        text = self.headers.get("content-length", "")
        if not text:
            return _UNTIL_CLOSED
        if not (text.isascii() and text.isdigit()):
            raise HttpError(f"the answer has no size: {text[:40]!r}")
        return int(text)

    def _status_line(self) -> tuple[int, str]:
        line = self._line().decode("latin-1")
        version, _, rest = line.partition(" ")
        code = rest[:3]
        if not (version.startswith("HTTP/1.") and code.isascii() and code.isdigit()):
            raise HttpError(f"the answer is not HTTP: {line[:40]!r}")
        return int(code), version.removeprefix("HTTP/")

    def _read_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        while line := self._line().decode("latin-1"):
            if len(headers) >= _MAX_HEADERS:
                raise HttpError("the answer has too many headers")
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return headers

    def _line(self) -> bytes:
        while (end := self._received.find(b"\n")) < 0:
            if len(self._received) > _MAX_LINE_BYTES:
                raise HttpError("a line of the answer is too long")
            piece = self._socket.recv(_PIECE_BYTES)
            if not piece:
                raise HttpError("the server closed the connection without an answer")
            self._received += piece
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line.removesuffix(b"\r")

    def _some(self, most: int) -> bytes:
        """Bytes of the body, at most so many; received ones first; b"" once it is closed."""
        size = _PIECE_BYTES if most == _UNTIL_CLOSED else min(most, _PIECE_BYTES)
        if not self._received:
            return self._socket.recv(size)
        piece = bytes(self._received[:size])
        del self._received[:size]
        return piece
