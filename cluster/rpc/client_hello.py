"""Reads the server name out of the first bytes of a TLS connection (RFC 8446 4.1.2, RFC 6066 3)."""

from __future__ import annotations

from typing import Final

RECORD_HEADER_BYTES: Final = 5

_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0
_HOST_NAME: Final = 0
_LARGEST_RECORD: Final = 16384 + 256


class NotTls(Exception):
    """The peer does not speak TLS, or sent a greeting that cannot be understood."""


def record_bytes(header: bytes) -> int:
    """Return the length of the first TLS record, its header of 5 bytes included.

    Raises:
        NotTls: it does not begin a handshake.
    """
    length = int.from_bytes(header[3:5], "big")
    if header[0] != _HANDSHAKE or header[1] != 3 or not 4 <= length <= _LARGEST_RECORD:
        raise NotTls("the connection does not begin with a TLS handshake")
    return RECORD_HEADER_BYTES + length


def server_name(record: bytes) -> str:
    """Return the server name that a ClientHello asks for, "" if it names none.

    Args:
        record: the whole first record, header included; a ClientHello that goes on in a second
            record is read as far as the first one goes.

    Raises:
        NotTls: it is no ClientHello.
    """
    try:
        return _server_name(_Reader(record[RECORD_HEADER_BYTES:]))
    except IndexError as error:
        raise NotTls("the TLS greeting is cut short") from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        return self._at >= len(self._data)

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise IndexError
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def vector(self, size_of_length: int) -> bytes:
        return self.take(self.number(size_of_length))


def _server_name(hello: _Reader) -> str:
    if hello.number(1) != _CLIENT_HELLO:
        raise NotTls("the connection does not begin with a TLS ClientHello")
    hello.take(3 + 2 + 32)  # length, version, random
    hello.vector(1)  # session
    hello.vector(2)  # cipher suites
    hello.vector(1)  # compression
    if hello.is_at_end:
        return ""
    extensions = _Reader(hello.vector(2))
    while not extensions.is_at_end:
        kind = extensions.number(2)
        body = extensions.vector(2)
        if kind == _SERVER_NAME:
            return _host_name(_Reader(_Reader(body).vector(2)))
    return ""


def _host_name(names: _Reader) -> str:
    while not names.is_at_end:
        kind = names.number(1)
        name = names.vector(2)
        if kind == _HOST_NAME:
            return name.decode("ascii", "replace").lower()
    return ""
