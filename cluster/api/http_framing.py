"""Where one HTTP/1.1 message ends and the next begins in a byte stream.

Only what is needed to find the boundaries is read: the head's length, ``Content-Length`` and the
sizes of chunks (RFC 9112, sections 6 and 7.1).  Bytes are passed on as they came.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto

MAX_HEAD_BYTES = 256 * 1024
_MAX_CHUNK_LINE_BYTES = 16 * 1024

_HEAD_END = b"\r\n\r\n"
_LINE_END = b"\r\n"


class MalformedMessage(Exception):
    """The stream is no HTTP/1.1 that this module can follow."""


class Head:
    """The first line and the header fields of a message, with the blank line after them."""

    __slots__ = ("_fields", "raw")

    def __init__(self, raw: bytes) -> None:
        """Take the bytes of a complete head."""
        self.raw = raw
        self._fields: dict[bytes, bytes] = {}
        for line in raw.split(_LINE_END)[1:]:
            name, colon, value = line.partition(b":")
            if colon:
                self._fields[name.strip().lower()] = value.strip()

    @property
    def first_line(self) -> bytes:
        """The request line or the status line."""
        return self.raw.lstrip(_LINE_END).partition(_LINE_END)[0]

    def field(self, name: bytes) -> bytes:
        """Return the (last) value of a field, empty if absent; `name` in lower case."""
        return self._fields.get(name, b"")

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return b"chunked" in self.field(b"transfer-encoding").lower()

    @property
    def content_length(self) -> int:
        """Length of the body in bytes, 0 if not said.

        Raises:
            MalformedMessage: the field is no number.
        """
        text = self.field(b"content-length") or b"0"
        if not re.fullmatch(rb"[0-9]{1,18}", text):
            raise MalformedMessage("Content-Length is no number")
        return int(text)

    def with_first_line(self, line: bytes) -> bytes:
        """Return the head with another first line."""
        return line + _LINE_END + self.raw.lstrip(_LINE_END).partition(_LINE_END)[2]

    def with_field(self, name: bytes, value: bytes) -> bytes:
        """Return the head with one field replaced or added."""
        first, *lines = self.raw.removesuffix(_HEAD_END).split(_LINE_END)
        kept = [line for line in lines if line.partition(b":")[0].strip().lower() != name.lower()]
        return _LINE_END.join([first, *kept, name + b": " + value]) + _HEAD_END


class _State(Enum):
    HEAD = auto()
    SIZED_BODY = auto()
    CHUNK_SIZE = auto()
    CHUNK = auto()
    TRAILER = auto()


class MessageScanner:
    """Cuts a byte stream into heads and pieces of bodies."""

    def __init__(self) -> None:
        """Start before the first byte of a message."""
        self._buffer = bytearray()
        self._state = _State.HEAD
        self._left = 0  # bytes of the sized body, or of the chunk with its line end
        self._scanned = 0  # bytes of an incomplete head that hold no end of it

    @property
    def is_between_messages(self) -> bool:
        """Whether the last message is complete and nothing of a next one has come."""
        return self._state is _State.HEAD and not self._buffer

    def feed(self, data: bytes) -> Iterator[Head | bytes]:
        """Take bytes and iterate over the heads and body pieces that are complete.

        The iteration may be left after a head; `rest` then returns what follows it.

        Raises:
            MalformedMessage: what follows can't be told apart; `rest` returns the bytes.
        """
        self._buffer += data
        while True:
            piece = self._next()
            if piece is None:
                return
            yield piece

    def rest(self) -> bytes:
        """Return, and forget, the bytes that are not yet passed on."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def _next(self) -> Head | bytes | None:
        match self._state:
            case _State.HEAD:
                return self._next_head()
            case _State.SIZED_BODY | _State.CHUNK:
                return self._next_body()
            case _State.CHUNK_SIZE:
                return self._next_chunk_size()
            case _State.TRAILER:
                return self._next_trailer()

    def _next_head(self) -> Head | None:
        start = 0
        while self._buffer[start : start + 2] == _LINE_END:
            start += 2
        end = self._buffer.find(_HEAD_END, max(start, self._scanned))
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise MalformedMessage(f"a head of more than {MAX_HEAD_BYTES} bytes")
            self._scanned = max(0, len(self._buffer) - len(_HEAD_END) + 1)
            return None
        head = Head(bytes(self._buffer[: end + len(_HEAD_END)]))
        # Only now does the stream move on: after an error `rest` still holds the head.
        left = 0 if head.is_chunked else head.content_length
        self._scanned = 0
        del self._buffer[: len(head.raw)]
        if head.is_chunked:
            self._state = _State.CHUNK_SIZE
        elif left:
            self._state, self._left = _State.SIZED_BODY, left
        return head

    def _next_body(self) -> bytes | None:
        if not self._buffer:
            return None
        piece = self._take(min(self._left, len(self._buffer)))
        self._left -= len(piece)
        if not self._left:
            is_chunk = self._state is _State.CHUNK
            self._state = _State.CHUNK_SIZE if is_chunk else _State.HEAD
        return piece

    def _next_chunk_size(self) -> bytes | None:
        line = self._take_line()
        if line is None:
            return None
        size = line.partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,15}", size):
            self._buffer[:0] = line
            raise MalformedMessage("a chunk without a size")
        self._left = int(size, 16) + len(_LINE_END)
        self._state = _State.CHUNK if int(size, 16) else _State.TRAILER
        return line

    def _next_trailer(self) -> bytes | None:
        line = self._take_line()
        if line == _LINE_END:
            self._state = _State.HEAD
        return line

    def _take_line(self) -> bytes | None:
        end = self._buffer.find(_LINE_END)
        if end < 0:
            if len(self._buffer) > _MAX_CHUNK_LINE_BYTES:
                raise MalformedMessage("a line that does not end")
            return None
        return self._take(end + len(_LINE_END))

    def _take(self, count: int) -> bytes:
        piece = bytes(self._buffer[:count])
        del self._buffer[:count]
        return piece
