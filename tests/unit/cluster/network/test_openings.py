"""Connections that are being opened while their task is taken out of a balancer."""

from __future__ import annotations

import pytest

from cluster.network.conntrack import SYN_RECEIVED, SYN_SENT, Connection
from cluster.network.openings import PATIENCE_S, Openings

ESTABLISHED = 3


def connection(client_port: int, state: int, answering: str = "10.0.1.3") -> Connection:
    return Connection(
        protocol=6,
        client="10.0.1.9",
        called="10.0.1.200",
        called_port=80,
        answering=answering,
        state=state,
        tuple_bytes=bytes([client_port]),
        zone=b"",
    )


class FakeConntrack:
    """Connections of a kernel, by the port of their client."""

    def __init__(self) -> None:
        self.known: dict[int, Connection] = {}

    def see(self, client_port: int, state: int, answering: str = "10.0.1.3") -> None:
        self.known[client_port] = connection(client_port, state, answering)

    def count(self) -> int:
        return len(self.known)

    def openings(self) -> list[Connection]:
        return [one for one in self.known.values() if one.state in {SYN_SENT, SYN_RECEIVED}]

    def forget_one(self, connection: Connection) -> None:
        del self.known[connection.tuple_bytes[0]]


@pytest.fixture
def conntrack() -> FakeConntrack:
    return FakeConntrack()


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
def openings(conntrack: FakeConntrack, now: list[float]) -> Openings:
    return Openings(conntrack, monotonic_s=lambda: now[0])  # type: ignore[arg-type]


def test_open_connections_and_those_to_others_are_no_matter(
    openings: Openings, conntrack: FakeConntrack
) -> None:
    conntrack.see(1, SYN_SENT)
    assert openings.settle()  # nobody was withdrawn
    conntrack.see(1, ESTABLISHED)
    conntrack.see(2, SYN_SENT, answering="10.0.1.4")
    openings.withdraw(["10.0.1.3"])
    assert openings.settle()
    assert conntrack.count() == 2


def test_one_that_is_opened_from_one_look_to_the_next_is_kept(
    openings: Openings, conntrack: FakeConntrack
) -> None:
    conntrack.see(1, SYN_SENT)
    openings.withdraw(["10.0.1.3"])
    assert not openings.settle()
    conntrack.see(1, ESTABLISHED)
    assert openings.settle()
    assert conntrack.count() == 1


def test_one_that_nobody_answers_is_forgotten(openings: Openings, conntrack: FakeConntrack) -> None:
    conntrack.see(1, SYN_SENT)
    openings.withdraw(["10.0.1.3"])
    assert not openings.settle()
    conntrack.see(2, SYN_SENT)  # chosen before the change, seen after it
    assert not openings.settle()
    assert list(conntrack.known) == [2]
    assert openings.settle()
    assert not conntrack.known


def test_one_that_was_answered_is_waited_for_a_moment_and_kept(
    openings: Openings, conntrack: FakeConntrack, now: list[float]
) -> None:
    conntrack.see(1, SYN_RECEIVED)
    openings.withdraw(["10.0.1.3"])
    assert not openings.settle()
    now[0] = PATIENCE_S / 2
    assert not openings.settle()
    now[0] = PATIENCE_S
    assert openings.settle()
    assert conntrack.count() == 1
