"""Plain containers get places in attachable networks, and lose them when they are gone."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from cluster.allocator.addresses import Turns
from cluster.api.commands.networks import remove_network
from cluster.dispatcher.attachments import TIME_TO_APPEAR_NS, attach, settle
from cluster.dispatcher.network_views import NetworkViews
from cluster.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from cluster.model.attachment import PlainEndpoint
from cluster.model.ids import NodeId, TaskId
from cluster.model.network import Network
from cluster.model.units import Timestamp
from cluster.rpc.messages import AttachRequest, AttachResponse, PlainContainersRequest
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction
from tests.support.builders import make_network, make_node, make_state

A = NodeId("a")
NOW = Timestamp(1)


def yard(**spec: Any) -> Network:
    made = make_network("yard", subnet="10.0.1.0/29")
    return replace(made, spec=replace(made.spec, attachable=True, **spec))


class Manager:
    """A state that is changed step by step."""

    def __init__(self, *items: Any) -> None:
        nodes = [
            replace(make_node(n, addr="192.0.2.1"), network_index=i)
            for i, n in ((1, "a"), (2, "b"))
        ]
        self.state: ClusterState = make_state(*nodes, *items)
        self.turns = Turns()
        self.count = 0

    def attach(self, network: str = "yard", address: str = "", node: NodeId = A) -> AttachResponse:
        self.count += 1
        tx = Transaction(self.state, NOW)
        request = AttachRequest(network=network, address=address)
        given = attach(tx, node, request, TaskId(f"p{self.count}"), self.turns)
        self.state = self.state.apply(tx.changes)
        return given

    def report(
        self, *endpoints: PlainEndpoint, now: int = NOW, released: tuple[str, ...] = ()
    ) -> int:
        tx = Transaction(self.state, Timestamp(now))
        request = PlainContainersRequest(
            endpoints=endpoints, released=tuple(TaskId(r) for r in released)
        )
        unseen = settle(tx, A, request)
        self.state = self.state.apply(tx.changes)
        return unseen

    def held(self) -> list[str]:
        return [attachment.address for attachment in self.state.attachments]


def seen(attachment_id: str, *, is_running: bool = True) -> PlainEndpoint:
    return PlainEndpoint(
        id=TaskId(attachment_id),
        container_id=f"container-{attachment_id}",
        name="box",
        aliases=("crate",),
        is_running=is_running,
    )


def test_a_place_has_an_address_of_its_own() -> None:
    manager = Manager(yard())
    given = [manager.attach(), manager.attach("yard", "10.0.1.5"), manager.attach(str(yard().id))]
    assert len({one.address for one in given}) == 3
    assert given[1].address == "10.0.1.5/29"
    with pytest.raises(FailedPrecondition, match=r"10\.0\.1\.5 of network yard is taken"):
        manager.attach("yard", "10.0.1.5")
    for wrong in ("10.0.2.5", "box"):
        with pytest.raises(InvalidArgument, match="want an IPv4 address of network yard"):
            manager.attach("yard", wrong)


def test_only_attachable_networks_take_plain_containers() -> None:
    manager = Manager(make_network("safe", subnet="10.0.2.0/24"), yard(ingress=True))
    with pytest.raises(PermissionDenied, match="network safe not manually attachable"):
        manager.attach("safe")
    with pytest.raises(PermissionDenied, match="network yard not manually attachable"):
        manager.attach("yard")
    with pytest.raises(NotFound, match="network nowhere not found"):
        manager.attach("nowhere")


def test_a_place_is_kept_while_its_container_is_there_and_not_longer() -> None:
    manager = Manager(yard())
    manager.attach()
    assert manager.report() == 1  # the container may come yet
    assert manager.report(seen("p1")) == 0
    assert len(manager.held()) == 1
    manager.report()
    assert not manager.held()


def test_a_place_that_no_container_came_to_need_is_given_back() -> None:
    manager = Manager(yard())
    manager.attach()
    manager.attach(node=NodeId("b"))
    assert manager.report(now=NOW + TIME_TO_APPEAR_NS) == 0
    assert [a.node_id for a in manager.state.attachments] == ["b"]
    manager.attach()
    manager.report(released=("p3",))
    assert [a.node_id for a in manager.state.attachments] == ["b"]


def test_nodes_know_plain_containers_that_run_and_the_networks_they_are_in() -> None:
    manager = Manager(yard())
    manager.attach()
    views = NetworkViews(manager.state)

    def shown() -> list[tuple[str, str, str, tuple[str, ...]]]:
        view = NetworkViews(manager.state).view_of(A)
        assert view is not None
        return [(t.task_id, t.name, t.state, t.aliases) for t in view.networks[0].tasks]

    assert shown() == [("p1", "p1", "starting", ())]
    manager.report(seen("p1"))
    assert shown() == [("container-p1", "box", "serving", ("crate",))]
    manager.report(seen("p1", is_running=False))
    assert shown()[0][2] == "starting"
    other = views.view_of(NodeId("b"))
    assert other is not None
    assert not other.networks


def test_a_network_with_plain_containers_is_in_use() -> None:
    manager = Manager(yard())
    manager.attach()
    with pytest.raises(FailedPrecondition, match="in use by task p1"):
        remove_network(Transaction(manager.state, NOW), "yard")
