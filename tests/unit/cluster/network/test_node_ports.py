"""Ports of containers that only their node publishes, beside ports of the cluster."""

from __future__ import annotations

import pytest

from cluster.errors import InvalidArgument
from cluster.model.ids import NetworkId
from cluster.network.node_ports import local_ports
from cluster.network.stored_state import EngineEndpoint, EnginePort


def endpoint(
    *ports: EnginePort, address: str = "10.255.0.9", is_gateway: bool = True
) -> EngineEndpoint:
    return EngineEndpoint(
        engine_network="e",
        network_id=NetworkId("n"),
        address=address,
        prefix=16,
        is_gateway=is_gateway,
        ports=ports,
        sandbox="s",
    )


def bound(host_ip: str = "", published: int = 8080, protocol: str = "tcp") -> EnginePort:
    return EnginePort(protocol=protocol, published_port=published, target_port=80, host_ip=host_ip)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([""], ()),
        (["0.0.0.0"], ()),
        (["127.0.0.1"], ("127.0.0.1",)),
        (["192.0.2.1", "127.0.0.1"], ("127.0.0.1", "192.0.2.1")),
        (["127.0.0.1", "0.0.0.0"], ()),
        (["0.0.0.0", "127.0.0.1"], ()),
    ],
)
def test_addresses_of_a_port_come_together(given: list[str], wanted: tuple[str, ...]) -> None:
    mine = endpoint(*(bound(address) for address in given))
    other = endpoint(address="10.0.1.9", is_gateway=False)
    (rule,) = local_ports({"a": mine, "b": other}).values()
    assert (rule.host_ips, rule.backends) == (wanted, ("10.255.0.9",))


@pytest.mark.parametrize("port", [bound(published=0), bound(protocol="sctp")])
def test_what_only_a_bridge_can_publish_is_refused(port: EnginePort) -> None:
    with pytest.raises(InvalidArgument, match="in host mode beside ingress ports"):
        local_ports({"a": endpoint(port)})
