from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.http_framing import MAX_HEAD_BYTES, Head, MalformedMessage, MessageScanner

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
SIZED = b"POST /b HTTP/1.1\r\nContent-Length: 9\r\n\r\n"
CHUNKED = b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
# Bodies that look like heads must not be taken for them.
SIZED_BODY = b"a\r\n\r\nGET "
CHUNKED_BODY = b"5;x=1\r\n\r\n\r\nA\r\n3\r\nGET\r\n0\r\nT: 1\r\n\r\n"
STREAM = GET + SIZED + SIZED_BODY + CHUNKED + CHUNKED_BODY + b"\r\n" + GET


def _heads(pieces: list[Head | bytes]) -> list[bytes]:
    return [piece.first_line for piece in pieces if isinstance(piece, Head)]


def _joined(pieces: list[Head | bytes]) -> bytes:
    return b"".join(piece if isinstance(piece, bytes) else piece.raw for piece in pieces)


@given(st.lists(st.integers(min_value=0, max_value=len(STREAM))))
def test_messages_are_found_however_the_stream_is_cut(cuts: list[int]) -> None:
    scanner = MessageScanner()
    pieces: list[Head | bytes] = []
    places = [0, *sorted(cuts), len(STREAM)]
    for start, end in itertools.pairwise(places):
        pieces += scanner.feed(STREAM[start:end])
    assert _joined(pieces) == STREAM
    assert [line.split()[1] for line in _heads(pieces)] == [b"/a", b"/b", b"/c", b"/a"]
    assert scanner.is_between_messages


def test_what_follows_a_head_can_be_taken_away() -> None:
    scanner = MessageScanner()
    pieces = scanner.feed(GET + b"raw stream")
    head = next(pieces)
    assert isinstance(head, Head)
    assert scanner.rest() == b"raw stream"
    assert scanner.rest() == b""


@pytest.mark.parametrize(
    "stream",
    [
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\nrest",
        CHUNKED + b"zz\r\nrest",
        b"x" * (MAX_HEAD_BYTES + 1),
    ],
)
def test_nothing_is_lost_of_what_makes_no_sense(stream: bytes) -> None:
    scanner = MessageScanner()
    pieces: list[Head | bytes] = []
    with pytest.raises(MalformedMessage):
        pieces.extend(scanner.feed(stream))
    assert _joined(pieces) + scanner.rest() == stream


def test_fields_are_read_and_replaced() -> None:
    head = Head(b"HTTP/1.1 404 Not Found\r\nUpgrade:  tcp \r\nconnection: keep-alive\r\n\r\n")
    assert head.field(b"upgrade") == b"tcp"
    assert head.field(b"nothing") == b""
    assert head.with_field(b"Connection", b"close") == (
        b"HTTP/1.1 404 Not Found\r\nUpgrade:  tcp \r\nConnection: close\r\n\r\n"
    )
    assert head.with_first_line(b"X").startswith(b"X\r\nUpgrade:")
