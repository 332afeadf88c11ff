"""Answers of HTTP servers, whole and broken, as they come over a real socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stack.engine.http_connection import Answer, HttpConnection, HttpError


@contextmanager
def server(*scripts: list[bytes]) -> Iterator[tuple[HttpConnection, list[bytes]]]:
    """A client whose n-th connection is answered by the n-th script: a piece of bytes a request."""
    received: list[bytes] = []
    threads = []
    left = list(scripts)

    def serve(side: socket.socket, pieces: list[bytes]) -> None:
        with side:
            for piece in pieces:
                request = b""
                while b"\r\n\r\n" not in request:
                    got = side.recv(65536)
                    if not got:
                        return
                    request += got
                received.append(request)
                side.sendall(piece)

    def open_socket() -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.settimeout(30)
        thread = threading.Thread(target=serve, args=(theirs, left.pop(0)))
        thread.start()
        threads.append(thread)
        return ours

    connection = HttpConnection(open_socket)
    try:
        yield connection, received
    finally:
        connection.close()
        for thread in threads:
            thread.join(30)


def ask(connection: HttpConnection, body: bytes | None = None) -> Answer:
    return connection.ask("GET" if body is None else "POST", "/x?a=b", {"Host": "stack"}, body)


def test_a_request_is_written_as_http_says() -> None:
    with server([b"HTTP/1.1 204 No Content\r\n\r\n"]) as (connection, received):
        answer = ask(connection, b"{}")
        assert (answer.status, answer.read()) == (204, b"")
    assert received == [b"POST /x?a=b HTTP/1.1\r\nHost: stack\r\nContent-Length: 2\r\n\r\n{}"]


def test_one_connection_serves_several_requests() -> None:
    sized = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Some: Thing\r\n\r\nok"
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\nA;name=value\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
    )
    with server([sized, chunked, sized]) as (connection, received):
        first = ask(connection)
        assert first.headers["x-some"] == "Thing"
        assert first.read() == b"ok"
        assert ask(connection).read() == b"abc0123456789"
        assert ask(connection).read() == b"ok"
        assert len(received) == 3


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n",
    ],
)
def test_a_server_that_closes_is_connected_to_again(head: bytes) -> None:
    with server([head + b"body"], [head + b"more"]) as (connection, _):
        assert ask(connection).read() == b"body"
        assert ask(connection).read() == b"more"


def test_an_interim_answer_is_passed_over() -> None:
    both = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\n1"
    with server([both]) as (connection, _):
        answer = ask(connection, b"x")
        assert (answer.status, answer.read()) == (201, b"1")


def test_pieces_are_given_as_they_come() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(30)
        theirs.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
        answer = HttpConnection(lambda: ours).ask("GET", "/", {})
        assert answer.read_piece() == b"ab"
        theirs.sendall(b"1\r\nc\r\n0\r\n\r\n")
        assert answer.read_piece() == b"c"
        assert answer.read_piece() == b""
        assert answer.read_piece() == b""


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "closed the connection"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP: 'SSH-2.0-OpenSSH_9.2'"),
        (b"HTTP/1.1 abc\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "no size"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "no size"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "broke off"),
        (b"HTTP/1.1 200 OK\r\n" + b"A" * 70_000, "too long"),
        (b"HTTP/1.1 200 OK\r\n" + b"".join(b"H%d: x\r\n" % n for n in range(300)), "too many"),
    ],
)
def test_what_is_no_whole_answer_is_an_error(sent: bytes, said: str) -> None:
    with server([sent]) as (connection, _), pytest.raises(HttpError, match=said):
        ask(connection).read()
