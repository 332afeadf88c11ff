"""What nodes are told of networks, and who hears of which change."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from msgspec.structs import replace

from cluster.dispatcher.network_views import NetworkViews
from cluster.model.endpoint import EndpointSpec, NetworkAttachment, ServiceEndpoint, VirtualIp
from cluster.model.extensions import EXTENSION_LABEL
from cluster.model.ids import NetworkId, NodeId
from cluster.model.network_view import NodeView, PublishedPort
from cluster.model.node import Node
from cluster.model.objects import StoredObject
from cluster.model.service import Service
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.store.change import Change, Created, Deleted, Updated
from cluster.store.state import ClusterState
from tests.support.builders import make_network, make_node, make_service, make_state, make_task

S = TaskState
FRONT = make_network("front", subnet="10.0.1.0/24")
BACK = make_network("back", subnet="10.0.2.0/24", vni=0x100001, is_internal=True)
INGRESS = make_network("ingress", subnet="10.255.0.0/16", is_ingress=True, vni=0x100002)


def node(name: str, index: int, **options: Any) -> Node:
    made = make_node(name, addr=f"192.0.2.{index}", **options)
    return replace(made, network_index=index, ingress_address=f"10.255.0.{index}")


def service(name: str, *vips: tuple[str, str], **options: Any) -> Service:
    made = make_service(name, **options)
    ips = tuple(VirtualIp(network_id=NetworkId(n), address=a) for n, a in vips)
    ports = made.spec.endpoint_spec.ports if made.spec.endpoint_spec else ()
    return replace(made, endpoint=ServiceEndpoint(virtual_ips=ips, ports=ports))


def task(name: str, of: Service, on: str, *joined: tuple[str, str], **options: Any) -> Task:
    attachments = tuple(NetworkAttachment(network_id=NetworkId(n), address=a) for n, a in joined)
    return replace(make_task(name, of, node=on, **options), networks=attachments)


A, B, C = node("a", 1), node("b", 2), node("c", 3)
WEB = service("web", ("front", "10.0.1.2"), networks=("front",))
T1 = task("t1", WEB, "a", ("front", "10.0.1.3/24"))
T2 = task("t2", WEB, "b", ("front", "10.0.1.4/24"), slot=2)


def view(name: str, *items: StoredObject) -> NodeView:
    made = NetworkViews(make_state(*items)).view_of(NodeId(name))
    assert made is not None
    return made


def test_a_node_knows_only_networks_of_its_tasks_but_all_who_are_in_them() -> None:
    db = service("db", ("back", "10.0.2.2"), networks=("back",))
    items = (FRONT, BACK, A, B, C, WEB, db, T1, T2, task("t3", db, "b", ("back", "10.0.2.3/24")))
    (front,) = view("a", *items).networks
    assert (front.name, front.subnet, front.gateway) == ("front", "10.0.1.0/24", "10.0.1.1")
    assert [(t.name, t.address, t.node_index) for t in front.tasks] == [
        ("web.1.t1", "10.0.1.3", 1),
        ("web.2.t2", "10.0.1.4", 2),
    ]
    assert [(s.name, s.vip) for s in front.services] == [("web", "10.0.1.2")]
    assert [n.name for n in view("b", *items).networks] == ["back", "front"]
    assert view("b", *items).networks[0].is_internal
    assert not view("c", *items).networks
    assert [(p.index, p.address) for p in view("c", *items).nodes] == [
        (1, "192.0.2.1"),
        (2, "192.0.2.2"),
        (3, "192.0.2.3"),
    ]


@pytest.mark.parametrize(
    ("state", "desired", "shown"),
    [
        (S.ASSIGNED, S.RUNNING, "starting"),
        (S.STARTING, S.RUNNING, "starting"),
        (S.RUNNING, S.RUNNING, "serving"),
        (S.RUNNING, S.COMPLETE, "serving"),
        (S.RUNNING, S.SHUTDOWN, "draining"),
        (S.RUNNING, S.REMOVE, "draining"),
        (S.STARTING, S.SHUTDOWN, "starting"),
        (S.PENDING, S.RUNNING, None),
        (S.FAILED, S.RUNNING, None),
    ],
)
def test_only_a_wanted_task_that_runs_serves(
    state: TaskState, desired: TaskState, shown: str | None
) -> None:
    other = task("o", WEB, "b", ("front", "10.0.1.9/24"), state=state, desired=desired)
    (front,) = view("a", FRONT, A, B, WEB, T1, other).networks
    assert [t.state for t in front.tasks if t.task_id == "o"] == ([shown] if shown else [])


def test_an_unhealthy_task_serves_no_more_while_it_is_being_stopped() -> None:
    other = task("o", WEB, "b", ("front", "10.0.1.9/24"))
    other = replace(other, status=replace(other.status, is_unhealthy=True))
    (front,) = view("a", FRONT, A, B, WEB, T1, other).networks
    assert {t.task_id: t.state for t in front.tasks} == {"t1": "serving", "o": "draining"}


def test_tasks_of_a_dead_node_are_nowhere() -> None:
    (front,) = view("a", FRONT, A, node("b", 2, state="down"), WEB, T1, T2).networks
    assert [t.task_id for t in front.tasks] == ["t1"]


@pytest.mark.parametrize(
    ("before", "after", "owner"),
    [
        (T1, S.READY, "t1"),
        (replace(T1, desired_state=S.SHUTDOWN), S.READY, "t1"),
        (replace(T1, desired_state=S.SHUTDOWN), S.RUNNING, "t9"),  # t1's node was away
    ],
)
def test_of_tasks_with_one_address_its_owner_alone_is_shown(
    before: Task, after: TaskState, owner: str
) -> None:
    new = task("t9", WEB, "b", ("front", "10.0.1.3/24"), state=after)
    for name in ("a", "b"):
        (front,) = view(name, FRONT, A, B, WEB, before, new).networks
        assert [t.task_id for t in front.tasks] == [owner]


def test_a_service_without_tasks_still_has_its_name_and_address() -> None:
    other = service("other", ("front", "10.0.1.9"), networks=("front",))
    (front,) = view("a", FRONT, A, WEB, T1, other).networks
    assert [s.name for s in front.services] == ["other", "web"]


def test_a_service_of_mode_dnsrr_has_no_address() -> None:
    other = service("other", networks=("front",), endpoint_mode="dnsrr")
    (front,) = view("a", FRONT, A, WEB, T1, other).networks
    assert [(s.name, s.vip) for s in front.services] == [("other", ""), ("web", "10.0.1.2")]


def test_published_ports_concern_every_node() -> None:
    shop = service("shop", ("ingress", "10.255.1.1"), ingress_ports=(80,))
    ingress = view(
        "c", INGRESS, A, C, shop, task("t", shop, "a", ("ingress", "10.255.1.2/16"))
    ).ingress
    assert ingress is not None
    assert ingress.own_address == "10.255.0.3"
    assert ingress.node_addresses == {1: "10.255.0.1", 3: "10.255.0.3"}
    assert [(p.published_port, p.target_port, p.service_id) for p in ingress.ports] == [
        (80, 80, "shop")
    ]
    assert [t.address for t in ingress.network.tasks] == ["10.255.1.2"]


def published(of: Service) -> list[PublishedPort]:
    ingress = view("a", INGRESS, A, of).ingress
    assert ingress is not None
    return list(ingress.ports)


def test_ports_have_the_settings_of_their_service() -> None:
    settings = [
        {"target": 80, "published": 80, "host_ips": ["127.0.0.1", "192.0.2.9"]},
        {"target": 81, "published": 81, "hide_client": True},
        {"target": 82, "published": 82, "host_ips": ["127.0.0.1", "0.0.0.0"]},
    ]
    labels = {EXTENSION_LABEL: json.dumps({"ports": settings})}
    shop = service("shop", ingress_ports=(80, 81, 82, 83), labels=labels)
    assert [(p.published_port, p.host_ips, p.keeps_source) for p in published(shop)] == [
        (80, ("127.0.0.1", "192.0.2.9"), True),
        (81, (), False),
        (82, (), True),
        (83, (), True),
    ]


def test_the_settings_of_a_port_that_was_chosen_are_its_own() -> None:
    settings = [{"target": 80, "host_ips": ["127.0.0.1"]}]
    labels = {EXTENSION_LABEL: json.dumps({"ports": settings})}
    shop = service("shop", ingress_ports=(80,), labels=labels)
    given = replace(shop.endpoint.ports[0], published_port=30000)
    wanted = EndpointSpec(ports=(replace(given, published_port=0),))
    shop = replace(
        shop,
        spec=replace(shop.spec, endpoint_spec=wanted),
        endpoint=replace(shop.endpoint, ports=(given,)),
    )
    (port,) = published(shop)
    assert (port.published_port, port.host_ips) == (30000, ("127.0.0.1",))


def test_a_port_that_the_spec_does_not_want_any_more_is_not_published() -> None:
    shop = service("shop", ("ingress", "10.255.1.1"), ingress_ports=(80,))
    other = make_service("shop", ingress_ports=(81,)).spec
    running = task("t", shop, "a", ("ingress", "10.255.1.2/16"))
    ingress = view("a", INGRESS, A, replace(shop, spec=other), running).ingress
    assert ingress is not None
    assert ingress.ports == ()


def test_without_published_ports_there_is_nothing_to_do_for_them() -> None:
    assert view("a", INGRESS, FRONT, A, WEB, T1).ingress is None


def test_the_drivers_option_for_the_mtu_is_passed_on() -> None:
    front = make_network(
        "front", subnet="10.0.1.0/24", options={"com.docker.network.driver.mtu": "1300"}
    )
    assert view("a", front, A, WEB, T1).networks[0].mtu == 1300


def test_a_node_without_number_knows_nothing_yet() -> None:
    assert NetworkViews(make_state(make_node("a"))).view_of(NodeId("a")) is None


class World:
    """A state that changes, and views that are told so."""

    def __init__(self, *items: StoredObject) -> None:
        self.state = make_state(*items)
        self.views = NetworkViews(self.state)
        self.are_peers_news = False

    def put(self, *items: StoredObject) -> set[str]:
        changes: list[Change] = [
            Updated(i) if i.id in self.state.table_of(i) else Created(i) for i in items
        ]
        return self._take(changes)

    def remove(self, *items: StoredObject) -> set[str]:
        return self._take([Deleted(item) for item in items])

    def _take(self, changes: list[Change]) -> set[str]:
        self.state = self.state.apply(changes)
        concern = self.views.look_at(changes, self.state)
        self.are_peers_news = concern.is_peers
        return {"all"} if concern.is_all else set(concern.nodes)


def test_a_change_of_a_task_concerns_the_nodes_that_share_a_network_with_it() -> None:
    world = World(FRONT, A, B, C, WEB, T1, T2)
    for name in "abc":
        world.views.view_of(NodeId(name))
    assert world.put(replace(T2, desired_state=S.SHUTDOWN)) == {"a", "b"}
    assert world.remove(T2) == {"a", "b"}


def test_what_does_not_alter_a_view_concerns_nobody() -> None:
    starting = replace(T2, status=replace(T2.status, state=S.PREPARING))
    world = World(FRONT, A, B, WEB, T1, starting)
    world.views.view_of(NodeId("a"))
    assert not world.put(replace(starting, status=replace(T2.status, state=S.STARTING)))
    assert not world.put(make_task("plain", WEB, node="a"))


def test_a_node_that_comes_moves_or_goes_is_news_for_all_but_in_a_hurry_only_for_few() -> None:
    published = task("p1", WEB, "b", ("ingress", "10.255.1.4/24"))
    world = World(FRONT, INGRESS, A, B, WEB, T1, published)
    assert world.put(C) == {"c", "b"}
    assert world.are_peers_news
    moved = replace(C, status=replace(C.status, addr="192.0.2.9"))
    assert world.put(moved) == {"c", "b"}
    assert [peer.address for peer in world.views.view_of(NodeId("a")).nodes][-1] == "192.0.2.9"
    assert world.remove(moved) == {"c", "b"}
    assert len(world.views.view_of(NodeId("a")).nodes) == 2


def test_what_a_node_is_like_but_not_where_it_is_is_news_for_nobody() -> None:
    world = World(FRONT, A, B, C, WEB, T1, T2)
    assert not world.put(replace(C, status=replace(C.status, state="down")))
    assert not world.are_peers_news
    assert world.put(replace(A, status=replace(A.status, state="down"))) == {"a", "b"}
    assert not world.are_peers_news


def test_kept_parts_never_differ_from_fresh_ones() -> None:
    rng = random.Random(66)
    world = World(FRONT, BACK, INGRESS, A, B, C, WEB)
    told: dict[str, NodeView | None] = {}
    for number in range(400):
        concerned = world.put(*_random_items(rng, number, world.state))
        for name in "abc":
            if concerned == {"all"} or name in concerned:
                told[name] = world.views.view_of(NodeId(name))
        for name in "abc":
            fresh = NetworkViews(world.state).view_of(NodeId(name))
            if name in told:
                assert told[name] == fresh, (number, name)


def _random_items(rng: random.Random, number: int, state: ClusterState) -> list[StoredObject]:
    live = list(state.tasks)
    if live and rng.random() < 0.6:
        old = rng.choice(live)
        moved = rng.choice([s for s in S if s >= old.status.state])
        desired = rng.choice(
            [s for s in (S.RUNNING, S.SHUTDOWN, S.REMOVE) if s >= old.desired_state]
        )
        return [replace(old, desired_state=desired, status=replace(old.status, state=moved))]
    if rng.random() < 0.1:
        name = rng.choice("abc")
        old_node = state.nodes.get(name)
        assert old_node is not None
        status = replace(old_node.status, state=rng.choice(["ready", "down"]))
        return [replace(old_node, status=status)]
    if rng.random() < 0.1:
        return [service("web", ("front", f"10.0.1.{number % 9 + 100}"), networks=("front",))]
    joined = rng.choice([("front",), ("back",), ("front", "back"), ("ingress",)])
    places = tuple((n, f"10.0.9.{number % 250}/24") for n in joined)
    return [task(f"t{number}", WEB, rng.choice("abc"), *places, state=S.ASSIGNED)]
