"""Names fit the kernel's limits and tell things apart."""

import pytest

from cluster.errors import InvalidArgument
from cluster.network.names import (
    MAX_NODE_INDEX,
    container_link,
    namespace_name,
    router_link,
    task_mac,
    tunnel_address,
    tunnel_mac,
)


def test_links_and_namespaces_have_names_that_the_kernel_takes() -> None:
    endpoint = "0123456789abcdef" * 4
    assert (container_link(endpoint), router_link(endpoint)) == ("sk0123456789ab", "v0123456789ab")
    assert max(len(container_link(endpoint)), len(router_link(endpoint))) <= 15
    assert namespace_name("k2rfzqmkzmpn8ca5sjtbslx7z") == "stknet-k2rfzqmk"


def test_every_node_has_a_tunnel_end_of_its_own() -> None:
    assert tunnel_address(1) == "198.18.0.1"
    assert tunnel_address(MAX_NODE_INDEX) == "198.18.255.254"
    assert tunnel_mac(0x1234) == "02:4e:00:00:12:34"
    assert len({tunnel_address(i) for i in range(1, 2000)}) == 1999


@pytest.mark.parametrize("index", [0, -1, 65535])
def test_an_index_beyond_the_range_is_refused(index: int) -> None:
    with pytest.raises(InvalidArgument, match="want 1 to 65534"):
        tunnel_address(index)


def test_a_containers_hardware_address_follows_from_its_address() -> None:
    assert task_mac("10.0.1.254") == "02:42:0a:00:01:fe"
