"""Names: asked through the engine's resolver, in every kind that a container may use."""

import pytest
from msgspec.structs import replace

from tests.support.data_plane import DataPlane

NXDOMAIN, NOERROR = "3", "0"


@pytest.mark.parametrize(
    ("place", "name", "answer"),
    [
        ("cli.1", "shop_web", "0 10.50.1.200"),
        ("cli.1", "WEB", "0 10.50.1.200"),
        ("cli.1", "web.shop_front", "0 10.50.1.200"),
        ("cli.1", "tasks.web", "0 10.50.1.11 10.50.1.12"),
        ("cli.1", "web.2", "0 10.50.1.12"),
        ("cli.1", "rr", "0 10.50.1.31 10.50.1.32"),
        # A container knows the names of all its networks, wherever its resolver asks.
        ("cli.1", "db", "0 10.50.2.200"),
        ("db.1", "db", "0 10.50.2.200"),
        ("db.1", "web", NXDOMAIN),
        ("web.1", "db", NXDOMAIN),
        ("blog.1", "web", NXDOMAIN),
        ("cli.1", "nobody", NXDOMAIN),
        ("cli.1", "tasks.nobody", NXDOMAIN),
    ],
)
def test_a_name_is_resolved_in_the_networks_of_who_asks(
    plane: DataPlane, place: str, name: str, answer: str
) -> None:
    assert plane.dns(place, name) == answer
    assert plane.dns(place, name, "A", "tcp") == answer


def test_an_address_has_the_name_of_its_task(plane: DataPlane) -> None:
    assert plane.dns("cli.1", "12.1.50.10.in-addr.arpa", "PTR") == "0 web.2.shop_front."
    assert plane.dns("cli.1", "99.1.50.10.in-addr.arpa", "PTR") == NXDOMAIN


def test_a_name_without_the_asked_record_exists_nevertheless(plane: DataPlane) -> None:
    assert plane.dns("cli.1", "web", "AAAA") == NOERROR


def test_a_service_without_virtual_address_lists_its_tasks_in_turn(plane: DataPlane) -> None:
    answers = {plane.dns("cli.1", "rr", "A", "unsorted", server="10.50.1.1") for _ in range(4)}
    assert answers == {"0 10.50.1.31 10.50.1.32", "0 10.50.1.32 10.50.1.31"}


def test_only_serving_tasks_are_listed(plane: DataPlane) -> None:
    for state in ("draining", "starting"):
        with plane.states(state, "web.2"):
            assert plane.dns("cli.1", "tasks.web") == "0 10.50.1.11"
            assert plane.dns("cli.1", "web.2") == NOERROR
        assert plane.dns("cli.1", "tasks.web") == "0 10.50.1.11 10.50.1.12"


def test_names_of_the_outside_are_asked_of_the_hosts_resolvers(plane: DataPlane) -> None:
    resolver = plane.start_in("h1", "name-server", "127.0.0.53", "example.org", "192.0.2.7")
    assert resolver.stdout
    assert resolver.stdout.readline() == "ready\n"
    try:
        script = "echo nameserver 127.0.0.53 >/etc/resolv.conf"
        plane.inside("h1", "sh", "-c", script)
        assert plane.dns("web.1", "www.example.org") == "0 192.0.2.7"
        assert plane.dns("web.1", "www.example.org", "A", "tcp") == "0 192.0.2.7"
        assert plane.dns("web.1", "elsewhere.example") == NXDOMAIN
        # From an internal network nothing gets out, not even a question.
        assert plane.dns("db.1", "www.example.org", server="10.50.2.1") == NXDOMAIN
    finally:
        assert resolver.stdin
        resolver.stdin.close()
        resolver.wait(20)
        resolver.stdout.close()


def test_a_container_with_resolvers_of_its_own_asks_these_for_the_outside(
    plane: DataPlane,
) -> None:
    server = plane.lab.host(1).address
    resolver = plane.start_in("h1", "name-server", server, "example.org", "192.0.2.9")
    assert resolver.stdout
    assert resolver.stdout.readline() == "ready\n"
    front = plane.nets["frontnet00"]
    try:
        plane.run(1, "own.1", {front.id: "10.50.1.41"}, Dns=[front.gateway, server])
        front.tasks["own.1"] = replace(front.tasks["own.1"], has_resolvers=True)
        plane.send()
        assert plane.dns("own.1", "www.example.org") == "0 192.0.2.9"
        assert plane.dns("own.1", "web") == "0 10.50.1.200"
        assert plane.dns("own.1", "nobody") == NXDOMAIN
        plane.stop("own.1")
    finally:
        assert resolver.stdin
        resolver.stdin.close()
        resolver.wait(20)
        resolver.stdout.close()
