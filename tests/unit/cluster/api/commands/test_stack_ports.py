"""Published ports of a stack that move from one service to another in one step."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from cluster.api.commands.services import remove_service
from cluster.api.payloads.stacks import WantedService
from cluster.errors import InvalidArgument
from cluster.model.ids import ServiceId
from cluster.model.service import GlobalMode, ServiceMode, ServiceSpec
from tests.support.builders import make_network, make_service
from tests.unit.cluster.api.commands.stack_steps import Cluster, publishing

A, B = "shop_a", "shop_b"


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster()
    ingress = make_network("ingress", subnet="10.255.0.0/16", is_ingress=True)
    cluster(lambda tx: tx.create(ingress))
    return cluster


def made(*specs: ServiceSpec) -> list[WantedService]:
    return [WantedService(spec=spec) for spec in specs]


def changed(cluster: Cluster, *specs: ServiceSpec) -> None:
    cluster.deploy(*(cluster.again(spec.name, spec) for spec in specs))


def ports(cluster: Cluster) -> dict[str, list[int]]:
    return {
        one.spec.name: [port.published_port for port in one.endpoint.ports]
        for one in cluster.state.services
    }


@pytest.mark.parametrize("names", [(A, B), (B, A)])
@pytest.mark.parametrize("mode", ["ingress", "host"])
def test_a_port_moves_to_another_service_and_back(
    cluster: Cluster, names: tuple[str, str], mode: str
) -> None:
    former, later = names
    cluster.deploy(*made(publishing(former, 8080, mode=mode), publishing(later)))
    changed(cluster, *(publishing(name, *[8080][: name == later]) for name in (A, B)))
    assert ports(cluster) == {former: [], later: [8080]}
    changed(cluster, *(publishing(name, *[8080][: name == former]) for name in (A, B)))
    assert ports(cluster) == {former: [8080], later: []}
    cluster.roll_back()
    assert ports(cluster) == {former: [], later: [8080]}
    cluster.roll_back(1)
    assert ports(cluster) == {former: [8080], later: []}


def test_services_exchange_ports(cluster: Cluster) -> None:
    cluster.deploy(*made(publishing(A, 8080), publishing(B, 8081)))
    changed(cluster, publishing(A, 8081), publishing(B, 8080))
    assert ports(cluster) == {A: [8081], B: [8080]}
    cluster.roll_back()
    assert ports(cluster) == {A: [8080], B: [8081]}


def test_a_new_service_gets_the_port_that_another_gives_up(cluster: Cluster) -> None:
    cluster.deploy(*made(publishing(B, 8080)))
    new = made(publishing(A, 8080))
    cluster.deploy(*new, cluster.again(B, publishing(B)))
    assert ports(cluster) == {A: [8080], B: []}
    cluster.roll_back()
    assert ports(cluster) == {B: [8080]}


def test_a_service_that_is_renamed_keeps_its_port_on_the_way_back(cluster: Cluster) -> None:
    cluster.deploy(*made(publishing(A, 8080)))
    cluster.deploy(*made(publishing("shop_z")))
    cluster(remove_service, A)
    changed(cluster, publishing("shop_z", 8080))
    cluster.roll_back(1)
    assert ports(cluster) == {A: [8080]}
    assert cluster.numbers() == [1, 2, 3, 4, 5], "nothing was forgotten, though all services went"
    cluster.roll_back(4)
    assert ports(cluster) == {"shop_z": [8080]}


def test_a_service_is_renamed_in_one_step_with_its_port(cluster: Cluster) -> None:
    cluster.deploy(*made(publishing(A, 8080)))
    renamed = made(publishing("shop_z", 8080))
    with pytest.raises(InvalidArgument, match=f"'8080' is already in use by service '{A}'"):
        cluster.deploy(*renamed)
    cluster.deploy(*renamed, giving_way=(cluster.service(A).id,))
    assert ports(cluster) == {"shop_z": [8080]}
    assert cluster.numbers() == [1, 2]
    cluster.roll_back()
    assert ports(cluster) == {A: [8080]}


def test_only_services_of_the_stack_that_stay_as_they_are_give_way(cluster: Cluster) -> None:
    cluster.deploy(*made(publishing(A, 8080)))
    cluster(lambda tx: tx.create(make_service("other")))
    with pytest.raises(InvalidArgument, match="service other: its label says"):
        cluster.deploy(giving_way=(ServiceId("other"),))
    found = cluster.service(A).id
    with pytest.raises(InvalidArgument, match="it is to be changed and removed"):
        cluster.deploy(cluster.again(A, publishing(A)), giving_way=(found,))


def test_a_stack_of_one_service_whose_mode_changes_is_not_forgotten(cluster: Cluster) -> None:
    everywhere = ServiceMode(global_=GlobalMode())
    cluster.deploy(*made(publishing(A, 8080)))
    cluster.deploy(*made(publishing("shop_z")))
    cluster(remove_service, A)
    cluster.deploy(*made(replace(publishing(A, 8080), mode=everywhere)))
    cluster(remove_service, "shop_z")
    cluster.roll_back(1)
    assert cluster.service(A).spec.mode_name == "replicated"
    assert ports(cluster) == {A: [8080]}
    assert cluster.numbers()[0] == 1


def test_who_stays_as_it_is_keeps_its_port(cluster: Cluster) -> None:
    cluster.deploy(*made(publishing(A), publishing(B, 8080)))
    for services in ([cluster.again(A, publishing(A, 8080))], made(publishing("shop_c", 8080))):
        with pytest.raises(InvalidArgument, match=f"'8080' is already in use by service '{B}'"):
            cluster.deploy(*services)
    again = cluster.again(B, publishing(B, 8080, image="i:2"))
    with pytest.raises(InvalidArgument, match=f"'8080' is already in use by service '{B}'"):
        cluster.deploy(cluster.again(A, publishing(A, 8080)), again)


def test_two_services_cannot_take_one_port_that_a_third_gives_up(cluster: Cluster) -> None:
    cluster.deploy(*made(publishing(A), publishing(B, 8080)))
    with pytest.raises(InvalidArgument, match=f"'8080' is already in use by service '{A}'"):
        cluster.deploy(
            cluster.again(A, publishing(A, 8080)),
            *made(publishing("shop_c", 8080)),
            cluster.again(B, publishing(B)),
        )


def test_a_chosen_port_is_not_given_away_while_others_are_given_up(cluster: Cluster) -> None:
    cluster.deploy(*made(publishing(B, 0, 8080)))
    assert ports(cluster) == {B: [30000, 8080]}
    cluster.deploy(*made(publishing(A, 0, 8080)), cluster.again(B, publishing(B, 0)))
    assert ports(cluster) == {A: [30001, 8080], B: [30000]}
