"""Who is believed: roots that change under a running cluster, locked managers, copies of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import Measure
from tests.support.cluster import HOSTS, MANAGER, Cluster, idle, wait_for

AWAY = 3


def tls_status(cluster: Cluster) -> dict[str, str]:
    """What `docker node ls` says of each node's certificate, by host name."""
    listed = cluster.docker("node", "ls", "--format", "{{.Hostname}} {{.TLSStatus}}").stdout
    return dict(line.split(maxsplit=1) for line in listed.splitlines())


def swarm(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.api("GET", "/swarm")
    return found


def test_the_root_is_replaced_while_a_node_is_away_and_nobody_is_lost(
    cluster: Cluster, measure: Measure
) -> None:
    cluster.deploy("shop", {"web": idle(replicas=3)})
    cluster.wait_running("shop_web", 3)
    before, kept = swarm(cluster), cluster.container_ids("shop_web")
    with measure("replace the root of three nodes"):
        cluster.docker("swarm", "ca", "--rotate", "--quiet")
    first = swarm(cluster)
    assert not first["RootRotationInProgress"]
    assert first["TLSInfo"]["TrustRoot"] != before["TLSInfo"]["TrustRoot"]
    assert first["JoinTokens"]["Worker"] != before["JoinTokens"]["Worker"]
    assert tls_status(cluster) == {"h1": "Ready", "h2": "Ready", "h3": "Ready"}
    assert cluster.container_ids("shop_web") == kept

    cluster.lab.kill_stackd(AWAY)
    cluster.wait_for_node(AWAY, "down")
    with measure("replace the root while a node is away"):
        cluster.stack("cluster", "ca", "--rotate")
    second = swarm(cluster)
    assert second["TLSInfo"]["TrustRoot"] != first["TLSInfo"]["TrustRoot"]
    assert tls_status(cluster) == {"h1": "Ready", "h2": "Ready", "h3": "Needs Rotation"}

    cluster.lab.start_stackd(AWAY)
    with measure("a node that slept through it is ready and has a new certificate"):
        cluster.wait_for_node(AWAY, "ready")
        wait_for("h3 to renew", lambda: tls_status(cluster)["h3"] == "Ready")
    cluster.wait_running("shop_web", 3)

    # The tokens of the new root let nodes in, the old ones do not.
    cluster.stack("cluster", "leave", host=AWAY)
    manager = f"{cluster.address(MANAGER)}:2377"
    old = before["JoinTokens"]["Worker"]
    said = cluster.stack("cluster", "join", "--token", old, manager, host=AWAY, code=1)
    assert "another cluster" in said.stderr
    cluster.join(AWAY)
    cluster.wait_for_node(AWAY, "ready")
