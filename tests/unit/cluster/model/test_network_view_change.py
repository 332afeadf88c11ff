"""Views survive being sent in pieces."""

from __future__ import annotations

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
        node_addresses=st.just({1: "10.255.0.2"}),
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
