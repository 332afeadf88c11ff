from __future__ import annotations

from msgspec.structs import replace

from cluster.api.convert.networks import network_json, predefined_network_json
from cluster.api.payloads.decoding import convert_tree
from cluster.api.versions import NEWEST, ApiVersion
from cluster.model.ids import NetworkId
from cluster.model.meta import Meta
from cluster.model.network import Ipam, Network, NetworkAllocation, NetworkSpec
from tests.unit.cluster.api.golden_files import as_json, golden, moment


def test_a_network_looks_as_recorded() -> None:
    shown = golden("network-inspect-overlay")
    spec = convert_tree({key: shown[key] for key in ("Name", "Driver", "IPAM")}, NetworkSpec)
    spec = replace(spec, options=None, ipam=Ipam())
    (config,) = shown["IPAM"]["Config"]
    (vni,) = shown["Options"].values()
    network = Network(
        id=NetworkId(shown["Id"]),
        meta=Meta(created_at=moment(shown["Created"])),
        spec=spec,
        allocation=NetworkAllocation(
            vni=int(vni),
            subnet=config["Subnet"],
            gateway=config["Gateway"],
            ip_range=config["Subnet"],
        ),
    )
    assert as_json(network_json(network, ApiVersion(1, 41))) == shown


def test_a_network_without_addresses_shows_an_empty_list() -> None:
    shown = network_json(
        Network(id=NetworkId("n"), meta=Meta(), spec=NetworkSpec(name="a")), NEWEST
    )
    assert shown["IPAM"] == {"Driver": "default", "Options": None, "Config": []}
    assert shown["Driver"] == "overlay"


def test_a_predefined_network_is_known_by_its_name_on_all_nodes() -> None:
    shown = predefined_network_json("host", "host", NEWEST)
    assert (shown["Id"], shown["Scope"]) == ("host", "swarm")


def test_clients_since_1_47_hear_that_there_is_ipv4() -> None:
    network = Network(id=NetworkId("n"), meta=Meta(), spec=NetworkSpec(name="a"))
    for version, says_so in ((ApiVersion(1, 46), False), (ApiVersion(1, 47), True)):
        for shown in (
            network_json(network, version),
            predefined_network_json("host", "h", version),
        ):
            assert shown.get("EnableIPv4", False) is says_so
