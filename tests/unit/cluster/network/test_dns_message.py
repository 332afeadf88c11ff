"""Messages are what an independent implementation reads and writes."""

import socket

import pytest
from dnslib import EDNS0, DNSRecord

from cluster.network.dns_message import (
    NXDOMAIN,
    Query,
    address_answer,
    negative_answer,
    parse_query,
    pointer_answer,
)


def query(name: str = "Web.example", kind: str = "A", *, size: int = 0) -> Query:
    record = DNSRecord.question(name, kind)
    if size:
        record.add_ar(EDNS0(udp_len=size))
    parsed = parse_query(record.pack())
    assert parsed
    return parsed


def addresses(count: int) -> list[bytes]:
    return [socket.inet_aton(f"10.0.{i >> 8}.{i & 255}") for i in range(count)]


def test_a_question_is_read() -> None:
    found = query()
    assert (found.name, found.kind, found.limit, found.is_plain) == (b"web.example", 1, 512, True)
    assert query(size=4096).limit == 1232
    assert query(size=100).limit == 512


@pytest.mark.parametrize("length", range(30))
def test_a_question_that_is_cut_off_is_none(length: int) -> None:
    data = DNSRecord.question("web.example.org", "A").pack()
    assert parse_query(data[:length]) is None


def test_an_answer_is_no_question() -> None:
    assert parse_query(DNSRecord.question("web", "A").reply().pack()) is None


def test_addresses_come_in_the_given_order_with_the_question_as_it_was_asked() -> None:
    answer = DNSRecord.parse(address_answer(query(), addresses(3), 512))
    assert [str(r.rdata) for r in answer.rr] == ["10.0.0.0", "10.0.0.1", "10.0.0.2"]
    assert {r.ttl for r in answer.rr} == {0}
    assert str(answer.q.qname) == "Web.example."
    assert (answer.header.qr, answer.header.ra, answer.header.rd, answer.header.tc) == (1, 1, 1, 0)


def test_what_does_not_fit_is_left_out_and_marked() -> None:
    data = address_answer(query(), addresses(100), 512)
    answer = DNSRecord.parse(data)
    assert len(data) <= 512
    assert answer.header.tc == 1
    assert 20 < len(answer.rr) < 40
    large = query(size=4096)
    assert len(DNSRecord.parse(address_answer(large, addresses(100), large.limit)).rr) > 60


def test_who_speaks_edns_is_answered_with_it() -> None:
    answer = DNSRecord.parse(address_answer(query(size=1232), addresses(1), 1232))
    assert [r.rtype for r in answer.ar] == [41]


def test_a_negative_answer_says_who_says_so() -> None:
    answer = DNSRecord.parse(negative_answer(query(), NXDOMAIN, 7))
    assert answer.header.rcode == NXDOMAIN
    (soa,) = answer.auth
    assert (str(soa.rname), soa.rdata.times[0]) == (".", 7)


def test_an_address_is_answered_with_a_name() -> None:
    answer = DNSRecord.parse(pointer_answer(query(kind="PTR"), b"web.1.shop_front"))
    assert str(answer.rr[0].rdata) == "web.1.shop_front."
