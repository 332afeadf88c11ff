from __future__ import annotations

from typing import Any

from cluster.executor.network_payload import Joined, join_first, network_request
from cluster.model.endpoint import NetworkAttachment
from cluster.model.ids import ClusterId, NetworkId
from cluster.model.network_view import NetworkView


def joined(name: str, address: str, gateway: str, *, is_ingress: bool = False) -> Joined:
    network = NetworkView(
        id=NetworkId(f"id-{name}"), name=name, vni=1, subnet="10.0.1.0/24", gateway=gateway
    )
    attachment = NetworkAttachment(network_id=network.id, address=address)
    return Joined(attachment, network, is_ingress, engine_name=name)


FRONT = joined("front", "10.0.1.3/24", "10.0.1.1")
INGRESS = joined("ingress", "10.255.0.9/16", "10.255.255.254", is_ingress=True)


def test_the_address_goes_along_as_an_option_of_the_endpoint() -> None:
    payload: dict[str, Any] = {"HostConfig": {"NetworkMode": "bridge"}}
    join_first(payload, [FRONT, INGRESS])
    assert payload["HostConfig"] == {"NetworkMode": "front", "Dns": ["10.0.1.1"]}
    assert payload["NetworkingConfig"] == {
        "EndpointsConfig": {"front": {"DriverOpts": {"stackyard.address": "10.0.1.3/24"}}}
    }


def test_published_ports_bring_the_default_route_and_no_resolver() -> None:
    payload: dict[str, Any] = {"HostConfig": {}}
    join_first(payload, [INGRESS])
    (settings,) = payload["NetworkingConfig"]["EndpointsConfig"].values()
    assert settings["DriverOpts"] == {
        "stackyard.address": "10.255.0.9/16",
        "stackyard.gateway": "1",
    }
    assert "Dns" not in payload["HostConfig"]


def test_resolvers_of_the_service_come_after_the_networks() -> None:
    payload: dict[str, Any] = {"HostConfig": {"Dns": ["192.0.2.53"]}}
    join_first(payload, [FRONT])
    assert payload["HostConfig"]["Dns"] == ["10.0.1.1", "192.0.2.53"]


def test_the_engines_network_names_the_clusters() -> None:
    request = network_request(FRONT.network, ClusterId("c"))
    assert request["Driver"] == "stackyard"
    assert request["IPAM"] == {"Driver": "null"}
    assert request["Options"] == {"stackyard.network": "id-front"}
