"""Views survive being sent in pieces."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cluster.model.ids import NetworkId, NodeId, ServiceId, TaskId
from cluster.model.network_view import (
    IngressView,
    NetworkView,
    NodeView,
    PeerNode,
    ServiceEndpoint,
    TaskEndpoint,
)
from cluster.model.network_view_change import difference, merge

ids = st.sampled_from("abcd")

tasks = st.builds(
    TaskEndpoint,
    task_id=ids.map(TaskId),
    name=st.just("web"),
    address=st.sampled_from(["10.0.0.1", "10.0.0.2"]),
    node_index=st.integers(1, 2),
    state=st.sampled_from(["starting", "serving", "draining"]),
)
services = st.builds(
    ServiceEndpoint,
    service_id=ids.map(ServiceId),
    name=st.just("web"),
    vip=st.sampled_from(["", "10.0.0.9"]),
)


def by(name):
    return lambda items: tuple(sorted(items, key=lambda item: getattr(item, name)))


networks = st.builds(
    NetworkView,
    id=ids.map(NetworkId),
    name=st.just("front"),
    vni=st.integers(1, 2),
    subnet=st.just("10.0.0.0/24"),
    gateway=st.just("10.0.0.254"),
    services=st.lists(services, unique_by=lambda s: s.service_id).map(by("service_id")),
    tasks=st.lists(tasks, unique_by=lambda t: t.task_id).map(by("task_id")),
)
peers = st.builds(
    PeerNode,
    index=st.integers(1, 3),
    address=st.sampled_from(["192.0.2.1", "192.0.2.2"]),
    node_id=ids.map(NodeId),
)
views = st.builds(
    NodeView,
    own_index=st.integers(1, 2),
    own_address=st.just("192.0.2.1"),
    nodes=st.lists(peers, unique_by=lambda p: p.index).map(by("index")),
    networks=st.lists(networks, unique_by=lambda n: n.id).map(by("id")),
    ingress=st.none()
    | st.builds(
        IngressView,
        network=networks,
        own_address=st.just("10.255.0.2"),
        node_addresses=st.dictionaries(
            st.integers(1, 3), st.sampled_from(["10.255.0.1", "10.255.0.2"])
        ),
    ),
    revision=st.integers(1, 9),
)


@given(st.lists(views, min_size=1, max_size=5))
def test_a_node_that_merges_every_difference_has_the_newest_view(steps: list[NodeView]) -> None:
    told = held = None
    for view in steps:
        held = merge(held, difference(told, view))
        told = view
        assert held == view


def test_one_changed_task_of_a_thousand_is_sent_alone() -> None:
    many = tuple(
        TaskEndpoint(
            task_id=TaskId(f"{n:04}"), name="web", address="10.0.0.1", node_index=1, state="serving"
        )
        for n in range(1000)
    )
    network = NetworkView(
        id=NetworkId("n"), name="n", vni=1, subnet="10.0.0.0/16", gateway="10.0.0.1", tasks=many
    )
    old = NodeView(own_index=1, own_address="192.0.2.1", networks=(network,))
    changed = (*many[:500], replace(many[500], state="draining"), *many[501:])
    new = replace(old, networks=(replace(network, tasks=changed),))
    (part,) = difference(old, new).networks
    assert [task.task_id for task in part.network.tasks] == ["0500"]
    assert not part.removed_tasks


def test_one_node_that_comes_and_one_that_goes_are_sent_alone() -> None:
    many = tuple(
        PeerNode(index=n, address=f"10.0.{n // 256}.{n % 256}", node_id=NodeId(f"{n:04}"))
        for n in range(1, 1000)
    )
    network = NetworkView(
        id=NetworkId("i"), name="ingress", vni=1, subnet="10.255.0.0/16", gateway="10.255.0.1"
    )
    addresses = {node.index: f"10.255.{node.index // 256}.{node.index % 256}" for node in many}
    old, new = (
        NodeView(
            own_index=9,
            own_address="10.0.0.9",
            nodes=nodes,
            ingress=IngressView(
                network=network,
                own_address="10.255.0.9",
                node_addresses={node.index: addresses[node.index] for node in nodes},
            ),
        )
        for nodes in (many[:-1], many[1:])
    )
    change = difference(old, new)
    assert [node.index for node in change.nodes] == [999]
    assert change.removed_nodes == (1,)
    assert change.node_addresses == {999: "10.255.3.231"}
    assert change.removed_addresses == (1,)
    assert len(msgspec.msgpack.encode(change)) < 1000
    assert merge(old, change) == new
