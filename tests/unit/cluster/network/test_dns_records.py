"""Who has which name, and who may ask."""

import socket

import pytest
from msgspec.structs import replace

from cluster.network.dns_records import Found, build_directory, look_up
from tests.unit.cluster.network.views import back, front, task, view

WEB, DB = socket.inet_aton("10.0.1.2"), socket.inet_aton("10.0.2.2")


def packed(*addresses: str) -> tuple[bytes, ...]:
    return tuple(socket.inet_aton(address) for address in addresses)


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("shop_web", ("10.0.1.2",)),
        ("web", ("10.0.1.2",)),
        ("web.shop_front", ("10.0.1.2",)),
        ("tasks.web", ("10.0.1.11", "10.0.1.12")),
        ("tasks.shop_web", ("10.0.1.11", "10.0.1.12")),
        ("rr", ("10.0.1.21", "10.0.1.22")),
        ("web.1", ("10.0.1.11",)),
        ("web.3", ()),  # draining
        ("db", ("10.0.2.2",)),  # of the container's other network
        ("db.shop_back", ("10.0.2.2",)),
    ],
)
def test_a_container_finds_the_names_of_all_its_networks(
    name: str, addresses: tuple[str, ...]
) -> None:
    found = look_up(build_directory(view()), "front000", "10.0.1.31", name.encode())
    assert found == Found(packed(*addresses), exists=True)


@pytest.mark.parametrize("name", ["db", "tasks.db", "nobody", "tasks.nobody", "x.shop_front"])
def test_other_names_of_the_cluster_do_not_exist_and_are_not_asked_for_outside(name: str) -> None:
    found = look_up(build_directory(view()), "front000", "10.0.1.11", name.encode())
    assert found == Found()


def test_names_of_the_outside_may_be_asked_for_except_from_internal_networks() -> None:
    directory = build_directory(view())
    name = b"www.example.org"
    assert look_up(directory, "front000", "10.0.1.11", name) == Found(may_forward=True)
    assert look_up(directory, "back0000", "10.0.2.31", name) == Found(may_forward=True)
    assert look_up(directory, "back0000", "10.0.2.11", name) == Found()


def test_who_has_resolvers_asks_them_for_names_of_the_outside() -> None:
    own = replace(task("cli", "10.0.1.31", 1), has_resolvers=True)
    directory = build_directory(view(front(own, task("web.1", "10.0.1.11", 1, "web")), back()))

    def found(client: str, name: bytes) -> Found:
        return look_up(directory, "front000", client, name)

    assert found("10.0.1.31", b"www.example.org") == Found(may_forward=True, asks_itself=True)
    assert found("10.0.1.11", b"www.example.org") == Found(may_forward=True)
    assert found("10.0.1.31", b"web") == Found(packed("10.0.1.2"), exists=True)
    assert found("10.0.1.31", b"nobody") == Found()


def test_addresses_have_names() -> None:
    directory = build_directory(view())

    def pointer(name: bytes) -> Found:
        return look_up(directory, "front000", "10.0.1.11", name)

    assert pointer(b"12.1.0.10.in-addr.arpa").pointer == b"web.2.shop_front"
    assert pointer(b"2.1.0.10.in-addr.arpa").pointer == b"shop_web.shop_front"
    assert pointer(b"99.1.0.10.in-addr.arpa") == Found()
    assert pointer(b"1.2.0.192.in-addr.arpa") == Found(may_forward=True)
    assert pointer(b"x.in-addr.arpa") == Found(may_forward=True)


def test_a_network_that_did_not_change_keeps_its_zone() -> None:
    before = build_directory(view())
    after = build_directory(view(front(), back()), before)
    assert after.zones["front000"] is before.zones["front000"]
