"""Networks of a stack that were removed and are made again by a rollback."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from cluster.allocator.subnets import restored
from cluster.api.commands.networks import create_network, remove_network
from cluster.api.payloads.stacks import WantedService
from cluster.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from cluster.model.extensions import EXTENSION_LABEL
from cluster.model.ids import NetworkId
from cluster.model.network import Ipam, IpamConfig, Network, NetworkAllocation, NetworkSpec
from cluster.model.service import NetworkAttachmentConfig
from tests.support.builders import make_network, make_node
from tests.unit.cluster.api.commands.stack_steps import LABELS, Cluster, service


def named(subnet: str) -> Ipam:
    return Ipam(config=(IpamConfig(subnet=subnet),))


def allocation(cluster: Cluster, name: str) -> NetworkAllocation:
    network = cluster.state.network_by_name(name)
    assert network is not None
    assert network.allocation is not None
    return network.allocation


def without_its_network(ipam: Ipam | None = None) -> Cluster:
    """Return a stack whose first revision had a network that is gone."""
    cluster = Cluster()
    spec = NetworkSpec(name="shop_net", driver="overlay", labels=LABELS, ipam=ipam)
    web = service("shop_web")
    joined = (NetworkAttachmentConfig(target="shop_net"),)
    template = replace(web.task_template, networks=joined)
    cluster.deploy(WantedService(spec=replace(web, task_template=template)), networks=(spec,))
    cluster.deploy(cluster.again("shop_web", web))
    cluster(remove_network, "shop_net")
    return cluster


def test_it_is_as_it_was_if_nobody_has_its_subnet() -> None:
    cluster = without_its_network()
    [former] = cluster.state.revisions_of("shop")[0].networks
    cluster.roll_back(1)
    again = cluster.state.network(former.id)
    assert again is not None
    assert (again.spec, again.allocation) == (former.spec, former.allocation)


def test_it_gets_another_subnet_if_another_network_has_its_own() -> None:
    cluster = without_its_network()
    [former] = cluster.state.revisions_of("shop")[0].networks
    cluster(create_network, NetworkSpec(name="other", driver="overlay"), NetworkId("other"))
    assert former.allocation is not None
    assert allocation(cluster, "other").subnet == former.allocation.subnet
    cluster.roll_back(1)
    again, other = allocation(cluster, "shop_net"), allocation(cluster, "other")
    assert (again.subnet, again.gateway, again.ip_range) == (
        "10.0.1.0/24",
        "10.0.1.1",
        again.subnet,
    )
    assert again.vni != other.vni
    assert cluster.service("shop_web").spec.task_template.networks[0].target == former.id


def test_a_subnet_that_the_user_named_is_not_replaced() -> None:
    cluster = without_its_network(named("10.7.0.0/24"))
    other = NetworkSpec(name="other", driver="overlay", ipam=named("10.7.0.0/16"))
    cluster(create_network, other, NetworkId("other"))
    message = "network shop_net cannot be made again: its subnet 10.7.0.0/24 overlaps that of "
    with pytest.raises(FailedPrecondition, match=message + "network other: remove that network"):
        cluster.roll_back(1)
    cluster(remove_network, "other")
    cluster.roll_back(1)
    assert allocation(cluster, "shop_net").subnet == "10.7.0.0/24"


def made_anew(*, labels: dict[str, str]) -> Cluster:
    """Return a stack whose former network was removed, and made again under another ID."""
    cluster = without_its_network()
    spec = NetworkSpec(name="shop_net", driver="overlay", labels=labels)
    cluster(create_network, spec, NetworkId("anew"))
    return cluster


def targets(cluster: Cluster) -> list[str]:
    return [one.target for one in cluster.service("shop_web").spec.task_template.networks]


def test_services_return_to_the_one_that_the_stack_has_under_its_name() -> None:
    cluster = made_anew(labels=LABELS)
    cluster.roll_back(1)
    assert targets(cluster) == ["anew"]
    assert [one.id for one in cluster.state.networks] == ["anew"]
    newest = cluster.state.revisions_of("shop")[-1]
    assert [one.id for one in newest.networks] == ["anew"]
    cluster.roll_back(2)
    assert targets(cluster) == []
    cluster.roll_back(newest.number)
    assert targets(cluster) == ["anew"]


def test_an_address_in_the_former_subnet_is_not_brought_into_another_one() -> None:
    cluster = Cluster()
    web = service("shop_web")
    label = '{"networks":{"shop_net":{"ipv4_address":"10.0.0.9"}}}'
    web = replace(web, labels={**LABELS, EXTENSION_LABEL: label})
    joined = (NetworkAttachmentConfig(target="shop_net"),)
    template = replace(web.task_template, networks=joined)
    spec = NetworkSpec(name="shop_net", driver="overlay", labels=LABELS)
    with_net = WantedService(spec=replace(web, task_template=template))
    cluster.deploy(with_net, networks=(spec,))
    cluster.deploy(cluster.again("shop_web", service("shop_web")))
    cluster(remove_network, "shop_net")
    other = replace(spec, ipam=named("10.8.0.0/24"))
    cluster(create_network, other, NetworkId("anew"))
    with pytest.raises(InvalidArgument, match=r"10\.0\.0\.9 is not in 10\.8\.0\.0"):
        cluster.roll_back(1)


def test_a_network_of_somebody_else_is_not_taken_for_it() -> None:
    cluster = made_anew(labels={})
    with pytest.raises(AlreadyExists, match="shop_net"):
        cluster.roll_back(1)


def test_it_gets_another_number_if_another_network_has_its_own() -> None:
    cluster = without_its_network()
    [former] = cluster.state.revisions_of("shop")[0].networks
    assert former.allocation is not None
    other = make_network("other", subnet="10.9.0.0/24", vni=former.allocation.vni)
    cluster(lambda tx: tx.create(other))
    cluster.roll_back(1)
    again = allocation(cluster, "shop_net")
    assert again.vni != former.allocation.vni
    assert again == replace(former.allocation, vni=again.vni)


def test_it_gets_another_subnet_if_a_node_has_an_address_in_it() -> None:
    cluster = without_its_network()
    cluster(lambda tx: tx.create(make_node("n1", addr="10.0.0.9")))
    cluster.roll_back(1)
    assert allocation(cluster, "shop_net").subnet == "10.0.1.0/24"


def test_one_that_never_had_a_subnet_is_left_to_the_allocator() -> None:
    network: Network = make_network("net")
    assert restored(Cluster().state, network) == network
