"""Reading the server name out of real TLS greetings, and refusing what is none."""

from __future__ import annotations

import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.rpc.client_hello import NotTls, record_bytes, server_name


def hello(name: str | None) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname = False
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def test_the_name_is_found() -> None:
    record = hello("Join.Stackyard")
    assert record_bytes(record[:5]) == len(record)
    assert server_name(record) == "join.stackyard"


def test_a_greeting_without_name_names_nobody() -> None:
    assert server_name(hello(None)) == ""


@pytest.mark.parametrize("header", [b"GET /", b"\x16\x02\x01\x00\x50", b"\x17\x03\x01\x00\x50"])
def test_other_protocols_are_told_apart_by_the_header(header: bytes) -> None:
    with pytest.raises(NotTls):
        record_bytes(header)


def test_a_greeting_cut_short_is_refused() -> None:
    record = hello("swarm-manager")
    with pytest.raises(NotTls):
        server_name(record[:60])


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(garbage: bytes) -> None:
    with contextlib.suppress(NotTls):
        server_name(b"\x16\x03\x01\x00\x00" + garbage)


@given(st.integers(5, 500), st.integers(0, 255))
def test_no_flipped_byte_breaks_the_reader(at: int, value: int) -> None:
    record = bytearray(HELLO)
    record[at % len(record)] = value
    with contextlib.suppress(NotTls):
        server_name(bytes(record))


HELLO = hello("swarm-manager")
