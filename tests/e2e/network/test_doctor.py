"""`stack cluster doctor` finds what is really broken, and nothing else."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

from tests.support.cluster import HOSTS, Cluster

CLOSED = "table inet closed { chain c { type filter hook %s priority 0; %s drop; }; }"


def findings(cluster: Cluster, *, code: int) -> set[tuple[str, str, str]]:
    """Severity, check and node of everything that is found; the exit code is checked."""
    done = cluster.stack("cluster", "doctor", "--format", "json", code=code)
    return {(f["Severity"], f["Check"], f["Node"]) for f in json.loads(done.stdout)}


@contextlib.contextmanager
def closed(cluster: Cluster, host: int, hook: str, packets: str) -> Iterator[None]:
    """Drop packets in a host as its firewall would."""
    cluster.lab.enter(host, "nft", CLOSED % (hook, packets))
    try:
        yield
    finally:
        cluster.lab.enter(host, "nft", "delete table inet closed")


@contextlib.contextmanager
def mtu(cluster: Cluster, host: int, size: int) -> Iterator[None]:
    cluster.lab.enter(host, "ip", "link", "set", "eth0", "mtu", str(size))
    try:
        yield
    finally:
        cluster.lab.enter(host, "ip", "link", "set", "eth0", "mtu", "1500")


def test_a_healthy_cluster_has_nothing_wrong_and_nothing_stays_of_looking(
    cluster: Cluster,
) -> None:
    assert cluster.stack("cluster", "doctor").stdout == "Nothing is wrong.\n"
    for host in HOSTS:
        left = cluster.lab.enter(host, "sh", "-c", "ls /run/netns | grep stknet-doctor || true")
        assert not left.stdout


def test_closed_ports_are_found_between_the_right_nodes(cluster: Cluster) -> None:
    with closed(cluster, 3, "input", "udp dport 4789"):
        assert findings(cluster, code=1) == {
            ("error", "data port", "h1"),
            ("error", "data port", "h2"),
        }
        shown = cluster.stack("cluster", "doctor", code=1)
        assert "and h3 do not reach each other's networks" in shown.stdout
        assert "open UDP 4789" in shown.stdout
        assert "2 errors found" in shown.stderr
    with closed(cluster, 3, "output", "tcp dport 2377 ct state new"):
        assert findings(cluster, code=1) == {("error", "manager port", "h3")}
    assert not findings(cluster, code=0)


def test_packets_that_get_lost_by_their_size_are_found(cluster: Cluster) -> None:
    with mtu(cluster, 2, 1400):
        found = findings(cluster, code=1)
    assert found == {("error", "mtu", "h1"), ("error", "mtu", "h2")}  # and h2, and h3


def test_nodes_without_networks_or_without_life_are_found(cluster: Cluster) -> None:
    cluster.lab.kill_netd(2)
    try:
        assert findings(cluster, code=1) == {("error", "stack-netd", "h2")}
    finally:
        cluster.lab.start_netd(2)
    cluster.lab.kill_stackd(3)
    cluster.wait_for_node(3, "down")
    assert ("error", "nodes", "h3") in findings(cluster, code=1)


def test_leftovers_are_only_a_warning(cluster: Cluster) -> None:
    cluster.lab.enter(2, "ip", "netns", "add", "stknet-stray000")
    try:
        assert findings(cluster, code=0) == {("warning", "leftovers", "h2")}
    finally:
        cluster.lab.enter(2, "ip", "netns", "delete", "stknet-stray000", check=False)
