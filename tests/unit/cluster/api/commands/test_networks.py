from __future__ import annotations

import pytest
from msgspec.structs import replace

from cluster.allocator.subnets import FIRST_VNI, LAST_VNI
from cluster.api.commands.networks import create_network, remove_network
from cluster.api.commands.services import create_service
from cluster.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from cluster.model.ids import NetworkId
from cluster.model.network import MTU_OPTION, Ipam, IpamConfig, NetworkSpec
from cluster.model.service import NetworkAttachmentConfig, ServiceSpec, TaskSpec
from tests.compat.memory_node import counting_ids
from tests.support.memory_store import MemoryStore
from tests.unit.cluster.api.commands.transactions import spec

ID = NetworkId("n" * 25)


def _create(store: MemoryStore, network: NetworkSpec, network_id: NetworkId = ID) -> None:
    store.commit(lambda tx: create_network(tx, network, network_id))


def test_a_network_is_made_once() -> None:
    store = MemoryStore()
    _create(store, NetworkSpec(name="front", labels={}, options={"encrypted": ""}))
    stored = store.view().network(ID)
    assert stored is not None
    assert stored.spec.labels is None
    with pytest.raises(AlreadyExists, match="network with name Front already exists"):
        _create(store, NetworkSpec(name="Front"), NetworkId("other"))


@pytest.mark.parametrize("name", ["bridge", "host", "none", "HOST"])
def test_names_of_every_nodes_networks_are_taken(name: str) -> None:
    with pytest.raises(AlreadyExists, match=f"network with name {name} already exists"):
        _create(MemoryStore(), NetworkSpec(name=name))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (IpamConfig(subnet="foo"), r"IPAM.Config\[0\].Subnet: invalid subnet"),
        (IpamConfig(gateway="10.0.0.1"), "Subnet: required"),
        (IpamConfig(subnet="10.0.0.0/24", gateway="10.0.1.1"), "10.0.1.1 is not in the subnet"),
        (IpamConfig(subnet="10.0.0.0/24", gateway="x"), "Gateway: 'x'"),
        (IpamConfig(subnet="10.0.0.0/24", ip_range="10.0.0.0/16"), "IPRange: 10.0.0.0/16 is not"),
        (IpamConfig(subnet="10.0.0.0/24", ip_range="x"), "IPRange: 'x'"),
        (IpamConfig(auxiliary_addresses={"a": "10.0.0.9"}), "Subnet: required"),
        (
            IpamConfig(subnet="10.0.0.0/24", auxiliary_addresses={"router": "router.example"}),
            r"AuxiliaryAddresses\[router\]: 'router.example'",
        ),
        (
            IpamConfig(subnet="10.0.0.0/24", auxiliary_addresses={"router": "10.0.1.9"}),
            r"AuxiliaryAddresses\[router\]: 10.0.1.9 is not in the subnet",
        ),
    ],
)
def test_address_ranges_must_make_sense(config: IpamConfig, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        _create(MemoryStore(), NetworkSpec(name="a", ipam=Ipam(config=(config,))))


def test_good_ranges_are_taken() -> None:
    config = IpamConfig(subnet="10.0.0.0/24", gateway="10.0.0.1", ip_range="10.0.0.128/25")
    store = MemoryStore()
    _create(
        store, NetworkSpec(name="a", ipam=Ipam(config=(config, IpamConfig(subnet="fd00::/64"))))
    )
    assert len(store.view().networks) == 1


@pytest.mark.parametrize("text", ["", "big", "-1", "67", "65536", "9" * 30])
def test_a_packet_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"Options\[com.docker.network.driver.mtu\]"):
        _create(MemoryStore(), NetworkSpec(name="a", options={MTU_OPTION: text}))


@pytest.mark.parametrize("text", ["68", "1450", "65535"])
def test_a_packet_size_is_taken(text: str) -> None:
    _create(MemoryStore(), NetworkSpec(name="a", options={MTU_OPTION: text}))


def test_a_service_joins_the_network_of_published_ports_by_publishing_only() -> None:
    store = MemoryStore()
    _create(store, NetworkSpec(name="ingress", ingress=True))
    networks = (NetworkAttachmentConfig(target="ingress"),)
    wanted = spec("web", task_template=replace(spec("web").task_template, networks=networks))
    with pytest.raises(InvalidArgument, match="ingress is the network of published ports"):
        store.commit(lambda tx: create_service(tx, wanted, counting_ids()))


@pytest.mark.parametrize("name", ["", "a b", "/x"])
def test_names_must_be_names(name: str) -> None:
    with pytest.raises(InvalidArgument, match="is no name of a network"):
        _create(MemoryStore(), NetworkSpec(name=name))


def test_there_is_one_network_for_published_ports() -> None:
    store = MemoryStore()
    _create(store, NetworkSpec(name="ingress", ingress=True))
    with pytest.raises(AlreadyExists, match=r"\) is already present"):
        _create(store, NetworkSpec(name="ingress2", ingress=True), NetworkId("other"))


def test_networks_get_parts_of_the_pool_that_nothing_else_uses() -> None:
    store = MemoryStore()
    own = Ipam(config=(IpamConfig(subnet="10.0.1.0/25"),))
    _create(store, NetworkSpec(name="own", ipam=own), NetworkId("own"))
    for name in ("a", "b"):
        _create(store, NetworkSpec(name=name), NetworkId(name))
    given = {n.spec.name: n.allocation for n in store.view().networks if n.allocation}
    assert {name: (a.subnet, a.gateway) for name, a in given.items()} == {
        "own": ("10.0.1.0/25", "10.0.1.1"),
        "a": ("10.0.0.0/24", "10.0.0.1"),
        "b": ("10.0.2.0/24", "10.0.2.1"),
    }
    numbers = {a.vni for a in given.values()}
    assert len(numbers) == 3
    assert all(FIRST_VNI <= number <= LAST_VNI for number in numbers)


def test_a_network_made_anew_gets_another_number_and_a_taken_one_is_skipped() -> None:
    def number_of(store: MemoryStore, network_id: str) -> int:
        found = store.view().network(NetworkId(network_id))
        assert found is not None
        assert found.allocation is not None
        return found.allocation.vni

    def store_with(*ids: str) -> MemoryStore:
        store = MemoryStore()
        for network_id in ids:
            _create(store, NetworkSpec(name=network_id), NetworkId(network_id))
        return store

    first, second = (number_of(store_with(i), i) for i in ("first", "second"))
    assert first != second
    store = store_with("first")
    network = store.view().network(NetworkId("first"))
    assert network is not None
    assert network.allocation is not None
    store.put(replace(network, allocation=replace(network.allocation, vni=second)))
    _create(store, NetworkSpec(name="second"), NetworkId("second"))
    assert number_of(store, "second") == second + 1


def test_a_subnet_that_overlaps_another_networks_is_refused() -> None:
    store = MemoryStore()
    _create(store, NetworkSpec(name="a"), NetworkId("a"))
    own = Ipam(config=(IpamConfig(subnet="10.0.0.128/25"),))
    with pytest.raises(FailedPrecondition, match=r"10\.0\.0\.128/25 overlaps 10\.0\.0\.0/24"):
        _create(store, NetworkSpec(name="b", ipam=own), NetworkId("b"))
    assert len(store.view().networks) == 1


def test_a_network_in_use_stays() -> None:
    store = MemoryStore()
    _create(store, NetworkSpec(name="front"))
    template = TaskSpec(
        container_spec=spec().task_template.container_spec,
        networks=(NetworkAttachmentConfig(target="front"),),
    )
    wanted = ServiceSpec(name="web", task_template=template)
    service = store.commit(lambda tx: create_service(tx, wanted, counting_ids()))
    with pytest.raises(
        FailedPrecondition, match=f"network {ID} is in use by service {service.service_id}"
    ):
        store.commit(lambda tx: remove_network(tx, "front"))
