"""A task is drained once every node that reaches it has taken it out of its balancer."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from cluster.dispatcher.drains import Drains
from cluster.model.attachment import Attachment
from cluster.model.endpoint import NetworkAttachment
from cluster.model.ids import NetworkId, NodeId, TaskId
from cluster.model.meta import Meta
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.store.change import Updated
from tests.support.builders import make_network, make_node, make_service, make_state, make_task

S = TaskState
WEB = make_service("web", networks=("front",))
FRONT = make_network("front", subnet="10.0.1.0/24")


def no_drains() -> Drains:
    return Drains(make_state())


def task(
    name: str, node: str, desired: TaskState = S.RUNNING, state: TaskState = S.RUNNING
) -> Task:
    place = NetworkAttachment(network_id=NetworkId("front"), address="10.0.1.3/24")
    made = make_task(name, WEB, node=node, desired=desired, state=state)
    return replace(made, networks=(place,))


class Nodes:
    """How far each node's networks are."""

    def __init__(self) -> None:
        self.applied: dict[NodeId, int] = {}

    def has_applied(self, node_id: NodeId, revision: int, networks: Iterable[NetworkId]) -> bool:
        assert list(networks) == [FRONT.id]
        return self.applied.get(node_id, 0) >= revision


def at_once(_node: NodeId, _revision: int, _networks: Iterable[NetworkId]) -> bool:
    """Say that every node has applied everything."""
    return True


def test_every_node_in_the_network_must_know_it() -> None:
    drains, nodes = no_drains(), Nodes()
    ending = task("t1", "a", S.SHUTDOWN)
    state = make_state(FRONT, WEB, ending, task("t2", "b"), make_node("c"))
    drains.look_at([Updated(ending)], state)
    assert not drains.take_done(nodes.has_applied)
    nodes.applied[NodeId("a")] = state.revision
    assert not drains.take_done(nodes.has_applied)
    nodes.applied[NodeId("b")] = state.revision
    assert drains.take_done(nodes.has_applied) == [ending]
    assert not drains.take_done(nodes.has_applied)


def test_a_task_is_drained_once() -> None:
    drains, nodes = no_drains(), Nodes()
    ending = task("t1", "a", S.SHUTDOWN)
    state = make_state(FRONT, WEB, ending)
    drains.look_at([Updated(ending)], state)
    removed = replace(ending, desired_state=S.REMOVE)
    drains.look_at([Updated(removed)], state.apply([Updated(removed)]))
    nodes.applied[NodeId("a")] = state.revision + 1
    assert [t.id for t in drains.take_done(nodes.has_applied)] == ["t1"]


def test_an_unhealthy_task_is_drained_though_it_is_wanted() -> None:
    drains = no_drains()
    sick = task("t1", "a")
    sick = replace(sick, status=replace(sick.status, is_unhealthy=True))
    drains.look_at([Updated(sick)], make_state(FRONT, WEB, sick))
    assert drains.take_done(at_once) == [sick]


def test_tasks_that_do_not_run_or_are_wanted_are_not_drained() -> None:
    drains = no_drains()
    items = [
        task("t1", "a"),
        task("t2", "a", S.SHUTDOWN, S.STARTING),
        task("t3", "a", S.SHUTDOWN, S.SHUTDOWN),
        make_task("plain", WEB, node="a", desired=S.SHUTDOWN),
    ]
    drains.look_at([Updated(item) for item in items], make_state(FRONT, WEB, *items))
    assert not drains.take_done(at_once)


def test_a_node_with_a_plain_container_in_the_network_must_know_it_too() -> None:
    drains, nodes = no_drains(), Nodes()
    ending = task("t1", "a", S.SHUTDOWN)
    place = Attachment(
        id=TaskId("p1"),
        meta=Meta(),
        node_id=NodeId("c"),
        network_id=FRONT.id,
        address="10.0.1.9/24",
    )
    state = make_state(FRONT, WEB, ending, place)
    drains.look_at([Updated(ending)], state)
    nodes.applied[NodeId("a")] = state.revision
    assert not drains.take_done(nodes.has_applied)
    nodes.applied[NodeId("c")] = state.revision
    assert drains.take_done(nodes.has_applied) == [ending]


def test_a_new_leader_drains_what_an_earlier_one_told_to_end() -> None:
    ending = task("t1", "a", S.SHUTDOWN)
    state = make_state(FRONT, WEB, ending, task("t2", "b"))
    drains, nodes = Drains(state), Nodes()
    assert not drains.take_done(nodes.has_applied)
    nodes.applied = {NodeId("a"): state.revision, NodeId("b"): state.revision}
    assert drains.take_done(nodes.has_applied) == [ending]


def test_a_drained_task_is_known_until_it_has_ended() -> None:
    drains = no_drains()
    ending = task("t1", "a", S.SHUTDOWN)
    state = make_state(FRONT, WEB, ending)
    drains.look_at([Updated(ending)], state)
    assert not drains.done_on(NodeId("a"))
    drains.take_done(at_once)
    assert drains.done_on(NodeId("a")) == {"t1"}
    assert not drains.done_on(NodeId("b"))
    ended = replace(ending, status=replace(ending.status, state=S.SHUTDOWN))
    drains.look_at([Updated(ended)], state)
    assert not drains.done_on(NodeId("a"))
