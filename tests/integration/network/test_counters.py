"""What was counted can be read on each node: connections, traffic, questions."""

from __future__ import annotations

from typing import Any

from tests.support.data_plane import PORT, DataPlane

VIP = "10.50.1.200"


def counted(plane: DataPlane, host: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A host's counters, and those of one network in it."""
    whole = plane.lab.netd(host, "GET", "/counters")
    (front,) = (one for one in whole["networks"] if one["name"] == "shop_front")
    return whole, front


def test_connections_are_counted_where_they_come_in(plane: DataPlane) -> None:
    (_, before), (elsewhere, _) = counted(plane, 1), counted(plane, 2)
    plane.ask("cli.1", "tcp", VIP, count=6)
    plane.ask("client", "tcp", plane.lab.host(2).address, 8080, 4)
    (here, after), (there, _) = counted(plane, 1), counted(plane, 2)
    assert after["connections"]["shop_web"] - before["connections"]["shop_web"] == 6
    assert there["ports"]["8080/tcp"] - elsewhere["ports"]["8080/tcp"] == 4
    assert {"8080/tcp", "8080/udp", "8081/tcp"} <= here["ports"].keys()


def test_a_change_of_backends_keeps_the_count(plane: DataPlane) -> None:
    plane.ask("cli.1", "udp", VIP)
    _, before = counted(plane, 1)
    with plane.states("draining", "web.2"):
        plane.ask("cli.1", "tcp", VIP, count=3)
    _, after = counted(plane, 1)
    assert after["connections"]["shop_web"] - before["connections"]["shop_web"] == 3


def test_traffic_is_counted_for_containers_and_between_nodes(plane: DataPlane) -> None:
    _, before = counted(plane, 1)
    assert plane.ask("cli.1", "tcp", "10.50.1.12", PORT)  # on another host
    _, after = counted(plane, 1)
    for part in ("traffic", "tunnel"):
        for key in ("sent_bytes", "sent_packets", "received_bytes", "received_packets"):
            assert after[part][key] > before[part][key], (part, key)


def test_questions_are_counted(plane: DataPlane) -> None:
    _, before = counted(plane, 1)
    plane.dns("cli.1", "web", server="10.50.1.1")
    plane.dns("cli.1", "nobody", server="10.50.1.1")
    _, after = counted(plane, 1)
    assert after["names"]["questions"] - before["names"]["questions"] == 2
    assert after["names"]["unknown"] - before["names"]["unknown"] == 1
