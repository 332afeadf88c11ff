"""DNS messages, as far as a resolver for a few record types needs them (RFC 1035, 2308, 6891).

Written by hand because every name that a container looks up goes through here; a general library
takes three times as long.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

import msgspec

A, SOA, PTR, AAAA, OPT, ANY = 1, 6, 12, 28, 41, 255
IN: Final = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP = 0, 1, 2, 3, 4

HEADER_BYTES: Final = 12
PLAIN_LIMIT_BYTES: Final = 512
EDNS_LIMIT_BYTES: Final = 1232  # fits every path, also through a tunnel
TCP_LIMIT_BYTES: Final = 65535
TTL_S: Final = 0
"""Nobody may keep an answer: tasks come and go, and asking again costs 50 microseconds."""

RESPONSE, TRUNCATED, RECURSION_DESIRED, RECURSION_AVAILABLE, CHECKING_DISABLED = (
    0x8000,
    0x0200,
    0x0100,
    0x0080,
    0x0010,
)
OPCODE_MASK: Final = 0x7800
POINTER_TO_QUESTION: Final = b"\xc0\x0c"
OWNER: Final = b"\x09stackyard\x00"


class Query(msgspec.Struct, frozen=True, gc=False):
    """A question; `limit` is the longest answer the asker takes over UDP."""

    identifier: int
    flags: int
    name: bytes
    kind: int
    question: bytes
    has_edns: bool
    limit: int

    @property
    def is_plain(self) -> bool:
        """Whether it is an ordinary question of the class Internet."""
        return not self.flags & OPCODE_MASK and self.question[-2:] == b"\x00\x01"


def parse_query(data: bytes) -> Query | None:
    """Read a query with exactly one question; None if it is none."""
    try:
        identifier, flags, questions, answers, _, additional = struct.unpack_from("!6H", data)
        if flags & RESPONSE or questions != 1 or answers:
            return None
        position, labels = HEADER_BYTES, []
        while length := data[position]:
            if length > 63:
                return None
            labels.append(data[position + 1 : position + 1 + length])
            position += 1 + length
        end = position + 5
        if end > len(data):
            return None
        (kind,) = struct.unpack_from("!H", data, position + 1)
        has_edns, limit = False, PLAIN_LIMIT_BYTES
        if additional and data[end : end + 3] == b"\x00\x00\x29":
            (size,) = struct.unpack_from("!H", data, end + 3)
            has_edns, limit = True, min(max(size, PLAIN_LIMIT_BYTES), EDNS_LIMIT_BYTES)
    except (IndexError, struct.error):
        return None
    name = b".".join(labels).lower()
    return Query(identifier, flags, name, kind, data[HEADER_BYTES:end], has_edns, limit)


def address_answer(query: Query, addresses: Sequence[bytes], limit: int) -> bytes:
    """Return an answer with IPv4 addresses, in this order; as many as fit, marked if not all."""
    room = limit - HEADER_BYTES - len(query.question) - (11 if query.has_edns else 0)
    fitting = addresses[: room // 16]
    records = b"".join(
        POINTER_TO_QUESTION + struct.pack("!HHIH", A, IN, TTL_S, 4) + address for address in fitting
    )
    flags = TRUNCATED if len(fitting) < len(addresses) else 0
    return _message(query, NOERROR, len(fitting), records, 0, b"", flags)


def pointer_answer(query: Query, name: bytes) -> bytes:
    """Return an answer with the name of an address."""
    target = encode_name(name)
    record = POINTER_TO_QUESTION + struct.pack("!HHIH", PTR, IN, TTL_S, len(target)) + target
    return _message(query, NOERROR, 1, record, 0, b"", 0)


def negative_answer(query: Query, code: int, serial: int) -> bytes:
    """Return that there is no such name (NXDOMAIN), or no such record of it (NOERROR)."""
    values = struct.pack("!5I", serial & 0xFFFFFFFF, 60, 60, 3600, TTL_S)
    data = OWNER + OWNER + values
    record = b"\x00" + struct.pack("!HHIH", SOA, IN, TTL_S, len(data)) + data
    return _message(query, code, 0, b"", 1, record, 0)


def error_answer(query: Query, code: int) -> bytes:
    """Return that the question cannot be answered."""
    return _message(query, code, 0, b"", 0, b"", 0)


def with_identifier(data: bytes, identifier: int) -> bytes:
    """Return a message with another identifier."""
    return struct.pack("!H", identifier) + data[2:]


def encode_name(name: bytes) -> bytes:
    """Return a dotted name as labels."""
    return b"".join(bytes([len(part)]) + part for part in name.split(b".")) + b"\x00"


def _message(
    query: Query,
    code: int,
    answers: int,
    records: bytes,
    authorities: int,
    authority: bytes,
    more_flags: int,
) -> bytes:
    kept = query.flags & (OPCODE_MASK | RECURSION_DESIRED | CHECKING_DISABLED)
    flags = RESPONSE | RECURSION_AVAILABLE | kept | more_flags | code
    counts = (1, answers, authorities, int(query.has_edns))
    header = struct.pack("!6H", query.identifier, flags, *counts)
    options = b"\x00" + struct.pack("!HHIH", OPT, EDNS_LIMIT_BYTES, 0, 0) if query.has_edns else b""
    return header + query.question + records + authority + options
