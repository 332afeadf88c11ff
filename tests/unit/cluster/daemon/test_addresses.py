import pytest

from cluster.daemon.addresses import (
    address_towards,
    resolve_advertise_addr,
    resolve_listen_addr,
    with_port,
)
from cluster.errors import InvalidArgument


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("10.0.0.1", "10.0.0.1:2377"),
        ("10.0.0.1:99", "10.0.0.1:99"),
        ("host.example", "host.example:2377"),
        ("fd00::1", "[fd00::1]:2377"),
        ("[fd00::1]:99", "[fd00::1]:99"),
    ],
)
def test_an_address_gets_a_port(given: str, expected: str) -> None:
    assert with_port(given) == expected


@pytest.mark.parametrize("given", [":2377", "host:", "host:0", "host:70000", "host:abc"])
def test_an_address_that_is_none_is_refused_by_name(given: str) -> None:
    with pytest.raises(InvalidArgument, match=r"write HOST or HOST:PORT"):
        with_port(given)


def test_the_listen_address_may_be_an_interface() -> None:
    assert resolve_listen_addr("") == ("0.0.0.0", 2377)
    assert resolve_listen_addr("lo:4000") == ("127.0.0.1", 4000)
    assert resolve_listen_addr("127.0.0.1") == ("127.0.0.1", 2377)
    with pytest.raises(InvalidArgument, match="neither an IP address nor an interface"):
        resolve_listen_addr("nosuch0:2377")


def test_the_advertise_address_must_be_this_machines() -> None:
    assert resolve_advertise_addr("lo", "0.0.0.0") == "127.0.0.1"
    assert resolve_advertise_addr("127.0.0.1:2377", "0.0.0.0") == "127.0.0.1"
    with pytest.raises(InvalidArgument, match="not an address of this machine"):
        resolve_advertise_addr("192.0.2.77", "0.0.0.0")
    with pytest.raises(InvalidArgument, match="non-zero"):
        resolve_advertise_addr("0.0.0.0", "0.0.0.0")


def test_a_single_listen_address_is_advertised() -> None:
    assert resolve_advertise_addr("", "127.0.0.1") == "127.0.0.1"


def test_the_address_towards_a_manager_is_the_one_the_kernel_would_use() -> None:
    assert address_towards("127.0.0.1:2377") == "127.0.0.1"
