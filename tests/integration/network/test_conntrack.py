"""Connections in a namespace of our own: counted, listed, forgotten."""

import os
import socket
from collections.abc import Iterator

import pytest

from cluster.network import namespaces
from cluster.network.conntrack import SYN_SENT, Conntrack
from cluster.network.netlink import Netlink
from cluster.network.nftables import Nftables, RulesError

RULES = """\
table ip test {
  chain output {
    type nat hook output priority -100;
    ip daddr 127.0.0.9 dnat to 127.0.0.1
  }
}
"""


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"sytest-{os.getpid()}"
    namespaces.create(name)
    try:
        netlink = Netlink(name)
        netlink.set_up("lo")
        netlink.close()
        yield name
    finally:
        namespaces.remove(name)


def test_chosen_connections_are_forgotten(namespace: str) -> None:
    with namespaces.inside(namespace):
        rules, conntrack = Nftables(), Conntrack()
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    rules.run(RULES)
    assert conntrack.count() == 0
    datagrams.sendto(b"x", ("127.0.0.9", 9999))
    assert conntrack.count() == 1
    (connection,) = conntrack.connections()
    assert (connection.called, connection.called_port) == ("127.0.0.9", 9999)
    assert connection.answering == "127.0.0.1"
    assert conntrack.forget(lambda c: c.called == "127.0.0.8") == 0
    assert conntrack.forget(lambda c: c.called == "127.0.0.9") == 1
    assert conntrack.count() == 0
    datagrams.close()
    conntrack.close()
    rules.close()


def test_connections_that_are_being_opened_are_told_from_open_ones(namespace: str) -> None:
    with namespaces.inside(namespace):
        rules, conntrack = Nftables(), Conntrack()
        server = socket.create_server(("127.0.0.1", 8000))
        opening = socket.socket()
        opening.setblocking(False)
    rules.run(RULES)
    rules.run(
        "add chain ip test input { type filter hook input priority 0; }\n"
        "add rule ip test input tcp dport 8001 drop\n"
    )
    with namespaces.inside(namespace):
        opened = socket.create_connection(("127.0.0.1", 8000))
    with pytest.raises(BlockingIOError):
        opening.connect(("127.0.0.9", 8001))
    assert {c.called_port for c in conntrack.connections()} == {8000, 8001}
    (found,) = conntrack.openings()
    assert (found.called_port, found.answering, found.state) == (8001, "127.0.0.1", SYN_SENT)
    conntrack.forget_one(found)
    conntrack.forget_one(found)  # as if it had gone by itself
    assert {c.called_port for c in conntrack.connections()} == {8000}
    for one in (server, opening, opened):
        one.close()
    conntrack.close()
    rules.close()


def test_refused_rules_change_nothing_and_are_said(namespace: str) -> None:
    rules = Nftables(namespace)
    rules.run(RULES)
    with pytest.raises(RulesError, match="No such file"):
        rules.run("add table ip other\nflush chain ip test absent\n")
    assert rules.has_table("ip", "test")
    assert not rules.has_table("ip", "other")
    rules.close()
