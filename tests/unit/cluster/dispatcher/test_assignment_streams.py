"""What the dispatcher tells nodes to do, and what they report, over virtual time."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import msgspec
import pytest

from cluster.dispatcher.service import (
    Dispatcher,
)
from cluster.errors import NotFound, PermissionDenied
from cluster.model.endpoint import NetworkAttachment
from cluster.model.ids import TaskId
from cluster.model.network_view_change import merge
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.rpc.messages import (
    AssignmentsMessage,
)
from tests.support.builders import make_network
from tests.support.memory_store import MemoryStore
from tests.unit.cluster.dispatcher.peers import (
    Peer,
    leading,
    node,
    task,
)


async def told(stream) -> AssignmentsMessage:
    async with asyncio.timeout(1):
        return await anext(stream)


@leading(node("w1"), task("a"), task("x", "w2"), task("p", "", TaskState.PENDING))
async def test_assignments_begin_complete_and_go_on_with_differences(store, dispatcher) -> None:
    peer = Peer(dispatcher, "w1")
    await peer.register()
    async with aclosing(peer.assignments()) as stream:
        message = await told(stream)
        assert (message.is_complete, [t.id for t in message.tasks]) == (True, ["a"])
        store.put(task("b"))
        message = await told(stream)
        assert (message.is_complete, [t.id for t in message.tasks]) == (False, ["b"])
        store.remove(task("a"))
        assert (await told(stream)).removed == ("a",)
        store.put(task("x", "w2", TaskState.RUNNING))
        with pytest.raises(TimeoutError):
            await told(stream)


@leading(node("w1"))
async def test_what_changes_while_a_message_is_sent_goes_into_one(store, dispatcher) -> None:
    peer = Peer(dispatcher, "w1")
    await peer.register()
    async with aclosing(peer.assignments()) as stream:
        await told(stream)
        for name in "abcdef":
            store.put(task(name))
            await asyncio.sleep(0.01)
        message = await told(stream)
        assert "".join(t.id for t in message.tasks) == "abcdef"


@leading(node("w1"), node("w2"))
async def test_assignments_need_the_nodes_own_session(store, dispatcher) -> None:
    peer, other = Peer(dispatcher, "w1"), Peer(dispatcher, "w2")
    await peer.register()
    other.session_id = peer.session_id
    with pytest.raises(NotFound):
        await anext(other.assignments())


# -- reports -------------------------------------------------------------------------------------


@leading(node("w1"), task("a"))
async def test_a_report_is_written(store, dispatcher) -> None:
    peer = Peer(dispatcher, "w1")
    await peer.register()
    await peer.report("a", TaskState.RUNNING)
    assert store.view().task(TaskId("a")).status.state == TaskState.RUNNING


@leading(node("w1"), task("x", "w2"))
async def test_a_report_of_anothers_task_is_refused(store, dispatcher) -> None:
    peer = Peer(dispatcher, "w1")
    await peer.register()
    with pytest.raises(PermissionDenied, match="cannot update a task not assigned this node"):
        await peer.report("x", TaskState.RUNNING)
    assert store.view().task(TaskId("x")).status.state == TaskState.ASSIGNED


@leading(node("w1"))
async def test_a_report_of_a_task_that_is_gone_is_passed_over(store, dispatcher) -> None:
    peer = Peer(dispatcher, "w1")
    await peer.register()
    await peer.report("gone", TaskState.RUNNING)


@leading(node("w1"), task("a"))
async def test_a_report_without_session_is_refused(store, dispatcher) -> None:
    with pytest.raises(NotFound):
        await Peer(dispatcher, "w1").report("a", TaskState.RUNNING)


FRONT = make_network("front", subnet="10.0.1.0/24")
PEERS = [
    node(name, network_index=index, ingress_address="")
    for index, name in enumerate(("w1", "w2"), 1)
]


def joined(name: str, node_id: str, address: str, **fields) -> Task:
    place = NetworkAttachment(network_id=FRONT.id, address=f"{address}/24")
    made = task(name, node_id, state=TaskState.RUNNING, **fields)
    return msgspec.structs.replace(made, networks=(place,))


@leading(*PEERS, FRONT, joined("t1", "w1", "10.0.1.3"), joined("t2", "w2", "10.0.1.4"))
async def test_a_task_is_drained_when_all_nodes_have_it_out_of_their_balancers(
    store: MemoryStore, dispatcher: Dispatcher
) -> None:
    one, two = Peer(dispatcher, "w1"), Peer(dispatcher, "w2")
    await one.register()
    await two.register()
    async with aclosing(one.assignments()) as first, aclosing(two.assignments()) as second:
        views = {}
        for peer, stream in ((one, first), (two, second)):
            message = await anext(stream)
            views[peer] = merge(None, message.view)
            (front,) = views[peer].networks
            assert [t.state for t in front.tasks] == ["serving", "serving"]
            await peer.applied(views[peer].revision)

        ending = store.view().task(TaskId("t1"))
        shutdown = msgspec.structs.replace(ending, desired_state=TaskState.SHUTDOWN)
        await store.update(lambda tx: tx.update(shutdown))
        for peer, stream in ((one, first), (two, second)):
            message = await anext(stream)
            assert not message.drained
            views[peer] = merge(views[peer], message.view)
            (front,) = views[peer].networks
            assert [t.state for t in front.tasks] == ["draining", "serving"]

        await one.applied(views[one].revision)
        waiting = asyncio.ensure_future(anext(first))
        await asyncio.sleep(1)
        assert not waiting.done()
        await two.applied(views[two].revision)
        assert (await waiting).drained == ("t1",)


ENDING = joined("t1", "w1", "10.0.1.3", desired=TaskState.SHUTDOWN)


async def drained(peer: Peer, stream) -> tuple[str, ...]:
    """Apply views until tasks are called drained."""
    view = None
    async for message in stream:
        if message.drained:
            return message.drained
        if message.view is not None:
            view = merge(view, message.view)
            await peer.applied(view.revision)
    raise AssertionError("the stream ended")


@leading(*PEERS, FRONT, ENDING, joined("t2", "w2", "10.0.1.4"))
async def test_a_new_leader_waits_for_nodes_that_have_yet_to_come_back(
    store: MemoryStore, dispatcher: Dispatcher
) -> None:
    one, two = Peer(dispatcher, "w1"), Peer(dispatcher, "w2")
    await one.register()
    async with aclosing(one.assignments()) as first, asyncio.TaskGroup() as group:
        waiting = group.create_task(drained(one, first))
        await asyncio.sleep(1)
        assert not waiting.done()  # w2 may still send connections to the task
        await two.register()
        async with aclosing(two.assignments()) as second, asyncio.TaskGroup() as other:
            applying = other.create_task(drained(two, second))
            assert await waiting == ("t1",)
            applying.cancel()


@leading(*PEERS, FRONT, ENDING, joined("t2", "w2", "10.0.1.4"))
async def test_a_node_that_is_down_holds_no_drain_up(
    store: MemoryStore, dispatcher: Dispatcher
) -> None:
    one, two = Peer(dispatcher, "w1"), Peer(dispatcher, "w2")
    await one.register()
    await two.register()
    await two.goodbye()
    async with aclosing(one.assignments()) as stream:
        assert await drained(one, stream) == ("t1",)
    await one.register()
    async with aclosing(one.assignments()) as stream:
        assert (await anext(stream)).drained == ("t1",)  # known in the next session as well


@leading(*PEERS)
async def test_every_node_hears_of_one_that_joins_and_of_one_that_is_removed(
    store: MemoryStore, dispatcher: Dispatcher
) -> None:
    one = Peer(dispatcher, "w1")
    await one.register()
    async with aclosing(one.assignments()) as stream:
        view = merge(None, (await told(stream)).view)
        third = msgspec.structs.replace(node("w3"), network_index=3)
        third = msgspec.structs.replace(
            third, status=msgspec.structs.replace(third.status, addr="192.0.2.3")
        )
        store.put(third)
        view = merge(view, (await told(stream)).view)
        assert [(peer.node_id, peer.address) for peer in view.nodes if peer.index == 3] == [
            ("w3", "192.0.2.3")
        ]
        store.remove(third)
        view = merge(view, (await told(stream)).view)
        assert not [peer for peer in view.nodes if peer.index == 3]
