"""Allocation over time: what is held, what comes back, what is said when nothing is left."""

from __future__ import annotations

import ipaddress
import random
from typing import Any

import pytest
from msgspec.structs import replace

from cluster.allocator.allocate import Allocator
from cluster.allocator.ports import with_ports
from cluster.allocator.subnets import address_pools, allocated
from cluster.errors import FailedPrecondition, InvalidArgument
from cluster.model.cluster import Cluster
from cluster.model.extensions import TaskExtensions
from cluster.model.network import Ipam, IpamConfig, Network
from cluster.model.node import Node
from cluster.model.objects import StoredObject
from cluster.model.service import Service
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.store.change import Change
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction
from tests.support.builders import (
    counting_ids,
    make_cluster,
    make_network,
    make_node,
    make_service,
    make_state,
    make_task,
    seconds,
)

S = TaskState


class World:
    """A state, and the allocator that is woken by its changes."""

    def __init__(self, *items: StoredObject) -> None:
        self.state = make_state(*items)
        self.allocator = Allocator()
        for key in self.allocator.all_keys(self.state):
            self._reconcile(key)

    def put(self, *items: StoredObject) -> None:
        tx = Transaction(self.state, seconds(1))
        for item in items:
            (tx.update if item.id in tx.state.table_of(item) else tx.create)(item)
        self._take(tx.changes)

    def remove(self, *items: StoredObject) -> None:
        tx = Transaction(self.state, seconds(1))
        for item in items:
            tx.delete(item)
        self._take(tx.changes)

    def move(self, task_id: str, state: TaskState) -> None:
        task = self.task(task_id)
        self.put(replace(task, status=replace(task.status, state=state)))

    def task(self, task_id: str) -> Task:
        task = self.state.tasks.get(task_id)
        assert task is not None
        return task

    def service(self, service_id: str) -> Service:
        service = self.state.services.get(service_id)
        assert service is not None
        return service

    def node(self, node_id: str) -> Node:
        node = self.state.nodes.get(node_id)
        assert node is not None
        return node

    def addresses(self, task_id: str) -> list[str]:
        return [attachment.address for attachment in self.task(task_id).networks]

    def _take(self, changes: tuple[Change, ...]) -> None:
        self.state = self.state.apply(changes)
        keys = [key for change in changes for key in self.allocator.keys_of(change, self.state)]
        for key in dict.fromkeys(keys):
            self._reconcile(key)

    def _reconcile(self, key: str) -> None:
        tx = Transaction(self.state, seconds(1))
        tx.carry_out(self.allocator.reconcile(self.state, key, seconds(1), counting_ids()))
        if tx.changes:
            self._take(tx.changes)


FRONT = make_network("front", subnet="10.0.1.0/24")
BACK = make_network("back", subnet="10.0.2.0/24", vni=0x100001)
INGRESS = make_network("ingress", subnet="10.255.0.0/16", is_ingress=True, vni=0x100002)
WEB = make_service("web", networks=("front", "back"))


def new(task_id: str, service: Service, **options: Any) -> Task:
    return make_task(task_id, service, state=S.NEW, **options)


def test_a_service_has_an_address_in_each_network_and_so_has_each_task() -> None:
    world = World(FRONT, BACK, WEB, new("t1", WEB), new("t2", WEB, slot=2))
    ips = world.service("web").endpoint.virtual_ips
    assert [(ip.network_id, ip.address) for ip in ips] == [
        ("front", "10.0.1.2"),
        ("back", "10.0.2.2"),
    ]
    assert world.addresses("t1") == ["10.0.1.3/24", "10.0.2.3/24"]
    assert world.addresses("t2") == ["10.0.1.4/24", "10.0.2.4/24"]
    assert world.task("t1").status.state is S.PENDING


def test_reconciling_twice_changes_nothing() -> None:
    world = World(FRONT, BACK, INGRESS, WEB, make_node("n"), new("t1", WEB))
    for key in world.allocator.all_keys(world.state):
        assert world.allocator.reconcile(world.state, key, seconds(2), counting_ids()).is_empty


def fixed(address: str, **options: Any) -> Service:
    made = make_service("db", networks=("front",), **options)
    extensions = TaskExtensions(addresses={"front": address})
    template = replace(made.spec.task_template, extensions=extensions)
    return replace(made, spec=replace(made.spec, task_template=template))


def test_the_only_task_of_a_service_has_the_address_that_it_names() -> None:
    db, web = fixed("10.0.1.3"), make_service("web", networks=("front",))
    world = World(FRONT, web, new("w", web), db, new("t1", db))
    assert world.addresses("t1") == ["10.0.1.3/24"]
    assert not {"10.0.1.3/24"} & set(world.addresses("w"))  # though it was looked at first
    vips = [ip.address for n in ("web", "db") for ip in world.service(n).endpoint.virtual_ips]
    assert "10.0.1.3" not in vips


def test_a_named_address_goes_from_task_to_task() -> None:
    db = fixed("10.0.1.9")
    world = World(FRONT, db, make_node("n"), new("t1", db, node="n"))
    world.put(new("t2", db, desired=S.READY))
    assert world.addresses("t2") == ["10.0.1.9/24"]  # prepared while the other one runs
    world.move("t1", S.SHUTDOWN)
    other = make_service("other", networks=("front",))
    world.put(other, *(new(f"o{n}", other, slot=n) for n in range(1, 12)))
    assert not any(world.addresses(f"o{n}") == ["10.0.1.9/24"] for n in range(1, 12))


def test_a_named_address_that_another_service_has_is_said() -> None:
    web, db = make_service("web", networks=("front",)), fixed("10.0.1.3")
    world = World(FRONT, web, new("w", web))
    assert world.addresses("w") == ["10.0.1.3/24"]
    world.put(db, new("t1", db))
    assert "address 10.0.1.3 of network front is taken" in world.task("t1").status.error
    world.move("w", S.SHUTDOWN)
    assert world.addresses("t1") == ["10.0.1.3/24"]


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("10.9.9.9", "address 10.9.9.9 for task db.1: want an IPv4 address of network front"),
        ("10.0.1.1", "address 10.0.1.1 of network front is taken"),  # by the gateway
    ],
)
def test_a_named_address_that_cannot_be_had_is_said(address: str, error: str) -> None:
    db = fixed(address)
    world = World(FRONT, db, new("t1", db))
    assert world.task("t1").status.state is S.NEW
    assert error in world.task("t1").status.error


def test_several_replicas_cannot_share_an_address() -> None:
    db = fixed("10.0.1.9", replicas=2)
    world = World(FRONT, db, new("t1", db), new("t2", db, slot=2))
    assert "10.0.1.9/24" not in {*world.addresses("t1"), *world.addresses("t2")}


def test_a_service_of_mode_dnsrr_has_no_address_of_its_own() -> None:
    service = make_service("web", networks=("front",), endpoint_mode="dnsrr")
    world = World(FRONT, service, new("t", service))
    assert not world.service("web").endpoint.virtual_ips
    assert world.addresses("t") == ["10.0.1.2/24"]


def test_tasks_on_networks_of_the_nodes_need_no_address() -> None:
    service = make_service("web", networks=("host",))
    world = World(service, new("t", service))
    assert world.task("t").status.state is S.PENDING
    assert not world.task("t").networks


def test_published_ports_add_the_network_for_them() -> None:
    service = make_service("web", networks=("front",), ingress_ports=(80,))
    world = World(FRONT, INGRESS, make_node("n"), service, new("t", service))
    assert world.node("n").ingress_address == "10.255.0.2"
    assert [a.network_id for a in world.task("t").networks] == ["front", "ingress"]


def test_without_a_network_for_published_ports_the_task_says_so() -> None:
    service = make_service("web", ingress_ports=(80,))
    world = World(service, new("t", service))
    assert world.task("t").status.state is S.NEW
    assert "there is no network for published ports" in world.task("t").status.error
    world.put(INGRESS)
    assert world.task("t").status.state is S.PENDING
    assert not world.task("t").status.error


def test_nodes_get_small_numbers_which_return_when_they_leave() -> None:
    world = World(INGRESS, make_node("a"), make_node("b"))
    assert [world.node(n).network_index for n in "ab"] == [1, 2]
    world.remove(world.node("a"))
    world.put(make_node("c"))
    assert world.node("c").network_index == 1
    assert world.node("c").ingress_address not in {"", world.node("b").ingress_address}


def test_an_address_stays_with_its_task_until_the_task_has_ended() -> None:
    small = make_network("front", subnet="10.0.1.0/29")  # gateway, virtual IP and four tasks
    web = make_service("web", networks=("front",))
    world = World(small, web, *(new(f"t{n}", web, slot=n) for n in range(1, 5)))
    world.put(replace(world.task("t1"), desired_state=S.SHUTDOWN), new("t5", web, slot=1))
    assert world.task("t5").status.state is S.NEW
    error = world.task("t5").status.error
    assert "network front has no free address for task web.1: all 8 of 10.0.1.0/29" in error
    assert "larger subnet" in error
    freed = world.addresses("t1")
    world.move("t1", S.SHUTDOWN)
    assert world.task("t5").status.state is S.PENDING
    assert world.addresses("t5") == freed


def test_without_an_address_for_the_service_its_tasks_wait() -> None:
    small = make_network("front", subnet="10.0.1.0/29")
    other = make_service("other", networks=("front",), endpoint_mode="dnsrr")
    world = World(small, other, *(new(f"t{n}", other, slot=n) for n in range(1, 6)))
    web = make_service("web", networks=("front",))
    world.put(web, new("w", web))
    assert "no free address for service web" in world.task("w").status.error
    world.remove(*(world.task(f"t{n}") for n in (1, 2)))
    assert world.task("w").status.state is S.PENDING


def test_a_service_keeps_its_address_where_tasks_of_it_still_are() -> None:
    world = World(FRONT, BACK, WEB, new("t", WEB))
    before = world.service("web").endpoint.virtual_ips
    later = make_service("web", networks=("back",), spec_version=2)
    world.put(replace(world.service("web"), spec=later.spec, spec_version=2))
    assert world.service("web").endpoint.virtual_ips == before
    world.move("t", S.FAILED)
    assert [ip.network_id for ip in world.service("web").endpoint.virtual_ips] == ["back"]


def test_a_new_leader_gives_nothing_out_twice() -> None:
    world = World(FRONT, BACK, WEB, new("t1", WEB))
    world.allocator = Allocator()
    world.put(new("t2", WEB, slot=2))
    assert not set(world.addresses("t1")) & set(world.addresses("t2"))


def test_addresses_of_the_user_are_left_alone() -> None:
    front = make_network("front", subnet="10.0.1.0/24")
    config = IpamConfig(subnet="10.0.1.0/24", auxiliary_addresses={"printer": "10.0.1.3"})
    front = replace(front, spec=replace(front.spec, ipam=Ipam(config=(config,))))
    web = make_service("web", networks=("front",))
    assert World(front, web, new("t", web)).addresses("t") == ["10.0.1.4/24"]


def test_addresses_come_from_the_range_only() -> None:
    front = make_network("front", subnet="10.0.1.0/24")
    assert front.allocation is not None
    front = replace(front, allocation=replace(front.allocation, ip_range="10.0.1.128/25"))
    web = make_service("web", networks=("front",))
    world = World(front, web, new("t", web))
    assert world.service("web").endpoint.virtual_ips[0].address == "10.0.1.128"
    assert world.addresses("t") == ["10.0.1.129/24"]


def test_ten_thousand_tasks_come_and_go_without_a_leak_or_a_double() -> None:
    rng = random.Random(6)
    web = make_service("web", networks=("front",))
    world = World(FRONT, web)
    alive: list[str] = []
    for number in range(10_000):
        task_id = f"t{number}"
        world.put(new(task_id, web, slot=number + 1))
        assert world.task(task_id).status.state is S.PENDING
        alive.append(task_id)
        while len(alive) > rng.randint(1, 40):
            ended = world.task(alive.pop(rng.randrange(len(alive))))
            if rng.random() < 0.5:  # the task ends first, or its object goes at once
                world.move(ended.id, S.COMPLETE)
                ended = world.task(ended.id)
            world.remove(ended)
        if number % 100 == 0:
            _check_no_double(world.state)
            if rng.random() < 0.2:
                world.allocator = Allocator()
    _check_no_double(world.state)
    assert len(world.state.tasks.ids("network", "front")) == len(alive)
    world.put(*(new(f"last{n}", web, slot=n + 1) for n in range(252 - len(alive))))
    assert not world.state.tasks.ids("state", S.NEW.name)  # each of the 252 can be had
    world.put(new("one too many", web))
    assert world.state.tasks.ids("state", S.NEW.name) == ["one too many"]


def _check_no_double(state: ClusterState) -> None:
    held = [a.address.partition("/")[0] for task in state.tasks for a in task.networks]
    held += [ip.address for service in state.services for ip in service.endpoint.virtual_ips]
    held.append("10.0.1.1")
    assert len(held) == len(set(held))
    assert all(ipaddress.ip_address(a) in ipaddress.ip_network("10.0.1.0/24") for a in held)


def _cluster(**settings: Any) -> Cluster:
    return replace(make_cluster(), **settings)


def _subnet(state: ClusterState, network: Network) -> str:
    given = allocated(state, network).allocation
    assert given is not None
    return given.subnet


def test_no_network_is_laid_over_the_nodes() -> None:
    state = make_state(_cluster(), make_node("a", addr="10.0.0.7"), make_node("b", addr="10.0.1.7"))
    assert _subnet(state, make_network("front")) == "10.0.2.0/24"


def test_published_ports_have_room_for_many_nodes() -> None:
    network = allocated(make_state(_cluster()), make_network("ingress", is_ingress=True))
    assert network.allocation is not None
    assert network.allocation.subnet == "10.255.0.0/16"
    assert network.allocation.gateway == "10.255.255.254"


@pytest.mark.parametrize(("size", "shown"), [(0, ("10.0.0.0/8",)), (24, ())])
def test_the_default_pool_is_used_whether_it_is_shown_or_not(size: int, shown: object) -> None:
    pools = address_pools((), size, 0)
    assert pools.pools == shown
    state = make_state(_cluster(address_pools=pools.pools, subnet_size=pools.subnet_size))
    assert _subnet(state, make_network("front")) == "10.0.0.0/24"


def test_pools_are_used_in_their_order_until_they_are_empty() -> None:
    pools = address_pools(("172.30.0.0/28", "172.31.0.0/28"), 29, 0)
    cluster = _cluster(address_pools=pools.pools, subnet_size=pools.subnet_size)
    state, subnets = make_state(cluster), []
    for name in "abcd":
        network = allocated(state, make_network(name, is_ingress=name == "a"))
        assert network.allocation is not None
        subnets.append(network.allocation.subnet)
        state = make_state(*state.everything(), network)
    assert subnets == ["172.30.0.0/29", "172.30.0.8/29", "172.31.0.0/29", "172.31.0.8/29"]
    with pytest.raises(
        FailedPrecondition, match=r"every /29 of 172\.30\.0\.0/28, 172\.31\.0\.0/28"
    ):
        allocated(state, make_network("e"))


@pytest.mark.parametrize(
    ("pools", "size", "port", "message"),
    [
        (("10.0.0.0/33",), 0, 0, "DefaultAddrPool: '10.0.0.0/33'"),
        (("10.0.0.0/25",), 24, 0, "10.0.0.0/25 is smaller than one subnet"),
        (("10.0.0.0/8", "10.1.0.0/16"), 24, 0, "10.1.0.0/16 overlaps another pool"),
        ((), 30, 0, "SubnetSize: 30"),
        ((), 0, 80, "DataPathPort: 80"),
    ],
)
def test_wrong_pools_are_refused(
    pools: tuple[str, ...], size: int, port: int, message: str
) -> None:
    with pytest.raises(InvalidArgument, match=message):
        address_pools(pools, size, port)


def test_a_published_port_belongs_to_one_service() -> None:
    web = with_ports(make_state(INGRESS), make_service("web", ingress_ports=(8080,)))
    state = make_state(INGRESS, web)
    assert with_ports(state, web) == web
    message = r"port '8080' is already in use by service 'web' \(web\) as an ingress port"
    with pytest.raises(InvalidArgument, match=message):
        with_ports(state, make_service("other", ingress_ports=(8080,)))
    with pytest.raises(InvalidArgument, match=message):
        with_ports(state, make_service("other", host_ports=(8080,)))


def test_a_port_of_nodes_may_be_shared_but_not_with_one_of_all_nodes() -> None:
    web = with_ports(make_state(), make_service("web", host_ports=(8080,)))
    state = make_state(INGRESS, web)
    other = make_service("other", host_ports=(8080,))
    assert with_ports(state, other).endpoint == web.endpoint
    message = r"port '8080' is already in use by service 'web' \(web\) as a host-published port"
    with pytest.raises(InvalidArgument, match=message):
        with_ports(state, make_service("other", ingress_ports=(8080,)))


def test_ports_on_all_nodes_need_their_network() -> None:
    with pytest.raises(FailedPrecondition, match="service needs ingress network"):
        with_ports(make_state(), make_service("web", ingress_ports=(8080,)))


def test_a_port_that_nobody_named_is_chosen_once() -> None:
    unnamed = make_service("web", ingress_ports=(80,))
    assert unnamed.spec.endpoint_spec is not None
    (port,) = unnamed.spec.endpoint_spec.ports
    endpoint = replace(unnamed.spec.endpoint_spec, ports=(replace(port, published_port=0),))
    unnamed = replace(unnamed, spec=replace(unnamed.spec, endpoint_spec=endpoint))
    taken = with_ports(make_state(), make_service("taken", host_ports=(30000,)))
    state = make_state(INGRESS, taken)
    first = with_ports(state, unnamed)
    other = replace(unnamed, id=type(unnamed.id)("other"))
    second = with_ports(make_state(INGRESS, taken, first), other)
    assert [s.endpoint.ports[0].published_port for s in (first, second)] == [30001, 30002]
    assert with_ports(make_state(INGRESS, taken, first, second), first) == first
