"""Connections that the kernel remembers: list them and make it forget some.

Forgetting a translated connection lets its next packet be balanced anew: a TCP client gets an
immediate reset from a backend that does not know it instead of waiting on one that is gone, and
a UDP client moves on without noticing.

Messages are those of linux/netfilter/nfnetlink_conntrack.h. A tuple is sent back as the very
bytes that were received, so that zones and protocols of any kind need no code here.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator

import msgspec

NETLINK_NETFILTER = 12
SUBSYSTEM = 1 << 8
NEW, GET, DELETE, GET_STATISTICS = (SUBSYSTEM | n for n in (0, 1, 2, 5))
REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
TYPE_MASK = 0x3FFF

TUPLE_ORIG, TUPLE_REPLY, STATUS, PROTOCOL_INFO, ZONE, STATUS_MASK = 1, 2, 3, 4, 18, 26
ASSURED = struct.pack(">I", 4)
INFO_TCP, TCP_STATE = 1, 1
SYN_SENT, SYN_RECEIVED = 1, 2
STATISTICS_ENTRIES = 1
TUPLE_IP, TUPLE_PROTO = 1, 2
IP_V4_SRC, IP_V4_DST = 1, 2
PROTO_NUM, PROTO_SRC_PORT, PROTO_DST_PORT = 1, 2, 3
NESTED = 0x8000
RECEIVE_BYTES = 1 << 18


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """One remembered connection: whom the client called, and who answers.

    `state` is the kernel's number of a TCP connection's state, 0 for other protocols.
    """

    protocol: int
    client: str
    called: str
    called_port: int
    answering: str
    state: int
    tuple_bytes: bytes
    zone: bytes


class Conntrack:
    """A socket for conntrack in the namespace that the thread is in when it is made."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def connections(self) -> list[Connection]:
        """Return all IPv4 connections of this namespace."""
        return self._listing(b"")

    def openings(self) -> list[Connection]:
        """Return those TCP connections that are being opened; there are few at any time."""
        # The kernel leaves out what both sides have confirmed, if it is of Linux 5.15 or later.
        unconfirmed = _attribute(STATUS, bytes(4)) + _attribute(STATUS_MASK, ASSURED)
        return [o for o in self._listing(unconfirmed) if o.state in {SYN_SENT, SYN_RECEIVED}]

    def _listing(self, filters: bytes) -> list[Connection]:
        self._send(GET, REQUEST | DUMP, filters)
        found: list[Connection] = []
        while True:
            data = self._socket.recv(RECEIVE_BYTES)
            for kind, body in _messages(data):
                if kind == NLMSG_DONE:
                    return found
                if kind == NLMSG_ERROR:
                    _raise(body)
                elif kind == NEW and (connection := _connection(body[4:])) is not None:
                    found.append(connection)

    def count(self) -> int:
        """Return how many connections this namespace has."""
        self._send(GET_STATISTICS, REQUEST, b"")
        for kind, body in _messages(self._socket.recv(RECEIVE_BYTES)):
            if kind == NLMSG_ERROR:
                _raise(body)
            entries = dict(_attributes(body[4:])).get(STATISTICS_ENTRIES)
            if entries is not None:
                return int.from_bytes(entries, "big")
        return 0

    def forget(self, chosen: Callable[[Connection], bool]) -> int:
        """Delete the connections that are chosen; how many they were.

        Listing walks through the connections of all namespaces; where there are none, and that is
        cheap to know, it is not done.
        """
        if not self.count():
            return 0
        found = [connection for connection in self.connections() if chosen(connection)]
        for connection in found:
            self.forget_one(connection)
        return len(found)

    def forget_one(self, connection: Connection) -> None:
        """Delete a connection, if it is there still."""
        body = _attribute(TUPLE_ORIG | NESTED, connection.tuple_bytes)
        if connection.zone:
            body += _attribute(ZONE, connection.zone)
        self._send(DELETE, REQUEST | ACK, body)
        for kind, answer in _messages(self._socket.recv(RECEIVE_BYTES)):
            if kind == NLMSG_ERROR:
                _raise(answer, but=errno.ENOENT)

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self._sequence += 1
        family = struct.pack("=BBH", socket.AF_INET, 0, 0)
        length = 16 + len(family) + len(body)
        header = struct.pack("=IHHII", length, kind, flags, self._sequence, 0)
        self._socket.send(header + family + body)


def _connection(body: bytes) -> Connection | None:
    top = dict(_attributes(body))
    original, reply = top.get(TUPLE_ORIG), top.get(TUPLE_REPLY)
    if original is None or reply is None:
        return None
    parts, back = dict(_attributes(original)), dict(_attributes(reply))
    ips, answering = dict(_attributes(parts[TUPLE_IP])), dict(_attributes(back[TUPLE_IP]))
    protocol = dict(_attributes(parts[TUPLE_PROTO]))
    if IP_V4_DST not in ips or IP_V4_SRC not in answering:
        return None
    port = protocol.get(PROTO_DST_PORT, b"\0\0")
    return Connection(
        protocol=protocol[PROTO_NUM][0],
        client=socket.inet_ntoa(ips[IP_V4_SRC]),
        called=socket.inet_ntoa(ips[IP_V4_DST]),
        called_port=int.from_bytes(port, "big"),
        answering=socket.inet_ntoa(answering[IP_V4_SRC]),
        state=_tcp_state(top.get(PROTOCOL_INFO, b"")),
        tuple_bytes=original,
        zone=top.get(ZONE, b""),
    )


def _tcp_state(protocol_info: bytes) -> int:
    tcp = dict(_attributes(protocol_info)).get(INFO_TCP, b"")
    return int.from_bytes(dict(_attributes(tcp)).get(TCP_STATE, b""), "big")


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, position)
        yield kind, data[position + 16 : position + length]
        position += (length + 3) & ~3


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, position)
        if length < 4:
            return
        yield kind & TYPE_MASK, data[position + 4 : position + length]
        position += (length + 3) & ~3


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _raise(body: bytes, *, but: int = 0) -> None:
    code = -struct.unpack_from("=i", body)[0]
    if code and code != but:
        raise OSError(code, os.strerror(code))
