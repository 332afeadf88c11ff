"""Nodes and the dispatcher over virtual time: sessions, heartbeats, changes of leaders."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager

import msgspec
import pytest

from cluster.clock import SystemClock
from cluster.dispatcher.heartbeats import BEATS_A_SECOND
from cluster.dispatcher.service import (
    DOWN_MESSAGE,
    GOODBYE_MESSAGE,
    UNKNOWN_MESSAGE,
)
from cluster.errors import NotFound, NotLeader, PermissionDenied
from cluster.model.cluster import ClusterSpec, DispatcherConfig
from cluster.model.ids import NodeId, TaskId
from cluster.model.node import ManagerStatus, NodeDescription, NodeSpec
from cluster.model.task import TaskStatus
from cluster.model.task_state import TaskState
from cluster.model.units import SECOND_NS
from cluster.rpc import methods
from cluster.rpc.channel import NodeChannel
from cluster.rpc.front import open_front
from cluster.rpc.messages import (
    AssignmentsRequest,
    GoodbyeRequest,
    HeartbeatRequest,
    SessionRequest,
    TaskStatusUpdate,
    UpdateTaskStatusRequest,
)
from cluster.rpc.server import RpcServer
from tests.support.identities import credentials
from tests.support.memory_store import MemoryStore
from tests.support.virtual_time import VirtualClock, jump, run_virtual
from tests.unit.cluster.dispatcher.peers import (
    CLUSTER,
    Peer,
    leading,
    new_dispatcher,
    node,
    status,
    task,
)

# -- sessions ------------------------------------------------------------------------------------


@leading(node("w1"))
async def test_a_registered_node_is_ready_and_described(store, dispatcher) -> None:
    message = await Peer(dispatcher, "w1").register()
    assert message.node.id == "w1"
    assert message.heartbeat_period_ns == SECOND_NS
    registered = store.view().node(NodeId("w1"))
    assert (registered.status.state, registered.status.addr) == ("ready", "10.0.0.5")
    assert registered.hostname == "host-w1"
    assert registered.status.since == store.clock.now()


@leading()
async def test_a_stranger_is_refused(store, dispatcher) -> None:
    with pytest.raises(PermissionDenied, match="node w1 is no member"):
        await Peer(dispatcher, "w1").register()


@leading(
    node("w1"), node("m1", role="manager", manager_status=ManagerStatus(raft_id=1, addr="a:1"))
)
async def test_a_session_tells_managers_and_what_changes(store, dispatcher) -> None:
    async with aclosing(Peer(dispatcher, "w1").open()) as stream:
        first = await anext(stream)
        assert [m.addr for m in first.managers] == ["a:1"]
        more = node("m2", role="manager", manager_status=ManagerStatus(raft_id=2, addr="b:1"))
        store.put(more)
        assert [m.addr for m in (await anext(stream)).managers] == ["a:1", "b:1"]
        own = store.view().node(NodeId("w1"))
        store.put(msgspec.structs.replace(own, spec=NodeSpec(availability="drain")))
        assert (await anext(stream)).node.spec.availability == "drain"
        period = ClusterSpec(dispatcher=DispatcherConfig(heartbeat_period=3 * SECOND_NS))
        store.put(msgspec.structs.replace(CLUSTER, spec=period))
        assert (await anext(stream)).heartbeat_period_ns == 3 * SECOND_NS


@leading(node("w1"))
async def test_a_stored_period_that_no_node_could_keep_is_not_used(store, dispatcher) -> None:
    period = ClusterSpec(dispatcher=DispatcherConfig(heartbeat_period=1_000_000))
    store.put(msgspec.structs.replace(CLUSTER, spec=period))
    peer = Peer(dispatcher, "w1")
    assert (await peer.register()).heartbeat_period_ns == SECOND_NS
    assert await peer.beat() >= 0.9 * SECOND_NS


@leading(node("w1"), node("w2"))
async def test_a_session_is_silent_while_nothing_that_matters_changes(store, dispatcher) -> None:
    async with aclosing(Peer(dispatcher, "w1").open()) as stream:
        await anext(stream)
        store.put(task("a"))
        await Peer(dispatcher, "w2").register()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await anext(stream)


@leading(node("w1"))
async def test_a_newer_session_replaces_the_older_one(store, dispatcher) -> None:
    old, new = Peer(dispatcher, "w1"), Peer(dispatcher, "w1")
    stream = old.open()
    old.session_id = (await anext(stream)).session_id
    await new.register()
    with pytest.raises(NotFound, match="replaced"):
        await anext(stream)
    with pytest.raises(NotFound):
        await old.beat()
    await new.beat()


@leading(node("w1"))
async def test_a_removed_node_is_told_so(store, dispatcher) -> None:
    peer = Peer(dispatcher, "w1")
    stream = peer.open()
    peer.session_id = (await anext(stream)).session_id
    store.remove(node("w1"))
    with pytest.raises(PermissionDenied, match="no member"):
        await anext(stream)
    with pytest.raises(NotFound):
        await peer.beat()
    await asyncio.sleep(60)
    assert store.view().node(NodeId("w1")) is None


# -- heartbeats ----------------------------------------------------------------------------------


@leading(node("w1"))
async def test_a_broken_stream_alone_does_not_make_a_node_down(store, dispatcher) -> None:
    peer = Peer(dispatcher, "w1")
    await peer.register()
    for _ in range(100):
        period_ns = await peer.beat()
        assert 0.9 * SECOND_NS <= period_ns <= 1.1 * SECOND_NS
        await asyncio.sleep(period_ns / SECOND_NS)
    assert status(store, "w1") == ("ready", "")


@leading(node("w1"))
async def test_a_silent_node_is_down_after_four_periods(store, dispatcher) -> None:
    peer = Peer(dispatcher, "w1")
    stream = peer.open()
    peer.session_id = (await anext(stream)).session_id
    await asyncio.sleep(3.9)
    assert status(store, "w1") == ("ready", "")
    await asyncio.sleep(0.2)
    assert status(store, "w1") == ("down", DOWN_MESSAGE)
    with pytest.raises(NotFound, match=DOWN_MESSAGE):
        await anext(stream)
    with pytest.raises(NotFound):
        await peer.beat()
    await peer.register()
    assert status(store, "w1") == ("ready", "")


@leading(node("w1", "ready"), node("w2", "down"), node("w3", "unknown"))
async def test_a_new_leader_calls_nodes_unknown_and_waits_longer(store, dispatcher) -> None:
    assert status(store, "w1") == ("unknown", UNKNOWN_MESSAGE)
    assert status(store, "w2") == ("down", "")
    await asyncio.sleep(5.9)
    assert status(store, "w1")[0] == status(store, "w3")[0] == "unknown"
    await Peer(dispatcher, "w3").register()
    await asyncio.sleep(0.2)
    assert status(store, "w1") == ("down", DOWN_MESSAGE)
    assert status(store, "w3") == ("ready", "")


@leading()
async def test_a_node_that_joined_but_never_reports_is_down_in_the_end(store, dispatcher) -> None:
    store.put(node("w1"))
    await asyncio.sleep(5)
    assert status(store, "w1")[0] == "unknown"
    await asyncio.sleep(2)
    assert status(store, "w1") == ("down", DOWN_MESSAGE)


@leading(node("w1"))
async def test_time_in_which_the_manager_stood_still_is_not_held_against_nodes(
    store, dispatcher
) -> None:
    peer = Peer(dispatcher, "w1")
    await peer.register()
    await asyncio.sleep(2)
    jump(600)
    await asyncio.sleep(0.1)
    await peer.beat()
    assert status(store, "w1") == ("ready", "")
    await asyncio.sleep(5)
    assert status(store, "w1") == ("down", DOWN_MESSAGE)


@leading(*(node(f"n{i:04}") for i in range(2 * BEATS_A_SECOND)))
async def test_with_many_nodes_each_beats_less_often(store, dispatcher) -> None:
    del store
    peer = Peer(dispatcher, "n0000")
    await peer.register()
    period_s = await peer.beat() / SECOND_NS
    assert 1.8 <= period_s <= 2.2
    await asyncio.sleep(3.5 * period_s)
    await peer.beat()  # it has not been given up


@leading(node("w1"))
async def test_a_longer_period_lets_nodes_that_wait_live(store, dispatcher) -> None:
    peer = Peer(dispatcher, "w1")
    await peer.register()
    period = ClusterSpec(dispatcher=DispatcherConfig(heartbeat_period=10 * SECOND_NS))
    store.put(msgspec.structs.replace(CLUSTER, spec=period))
    await asyncio.sleep(11)
    assert await peer.beat() >= 9 * SECOND_NS
    await asyncio.sleep(30)
    assert status(store, "w1")[0] == "ready"


@leading(node("w1"))
async def test_goodbye_makes_a_node_down_at_once(store, dispatcher) -> None:
    peer = Peer(dispatcher, "w1")
    stream = peer.open()
    peer.session_id = (await anext(stream)).session_id
    await peer.goodbye()
    assert status(store, "w1") == ("down", GOODBYE_MESSAGE)
    with pytest.raises(NotFound):
        await anext(stream)
    await asyncio.sleep(60)
    assert status(store, "w1") == ("down", GOODBYE_MESSAGE)


@leading(node("w1"))
async def test_a_node_that_registers_while_the_disk_is_slow_is_not_marked_down(
    store, dispatcher
) -> None:
    await asyncio.sleep(5.5)
    peer = Peer(dispatcher, "w1")
    store.hold()
    async with asyncio.TaskGroup() as group:
        group.create_task(peer.register())
        await asyncio.sleep(2)  # the grace of the change of leaders is over
        store.release()
    await peer.beat()
    assert status(store, "w1") == ("ready", "")


# -- assignments ---------------------------------------------------------------------------------


# -- leadership ----------------------------------------------------------------------------------


def test_a_follower_answers_nothing_and_a_lost_term_ends_all_streams() -> None:
    async def main() -> None:
        store = MemoryStore(CLUSTER, node("w1"), clock=VirtualClock())
        dispatcher = new_dispatcher(store, VirtualClock())
        peer = Peer(dispatcher, "w1")
        with pytest.raises(NotLeader):
            await peer.register()
        async with asyncio.TaskGroup() as group:
            duty = group.create_task(dispatcher.run())
            await asyncio.sleep(0.001)
            stream = peer.open()
            peer.session_id = (await anext(stream)).session_id
            tasks = peer.assignments()
            await anext(tasks)
            duty.cancel()
        with pytest.raises(NotLeader):
            await anext(stream)
        with pytest.raises(NotLeader):
            await anext(tasks)
        with pytest.raises(NotLeader):
            await peer.beat()
        # a second term knows nothing of the first one's sessions
        async with asyncio.TaskGroup() as group:
            duty = group.create_task(dispatcher.run())
            await asyncio.sleep(0.001)
            with pytest.raises(NotFound):
                await peer.beat()
            await peer.register()
            duty.cancel()

    run_virtual(main())


def test_a_manager_that_may_not_write_ends_its_duty() -> None:
    async def main() -> None:
        store = MemoryStore(CLUSTER, clock=VirtualClock())
        store.is_leader = False
        with pytest.raises(NotLeader):
            await new_dispatcher(store, VirtualClock()).run()

    run_virtual(main())


# -- over the wire -------------------------------------------------------------------------------


@asynccontextmanager
async def manager(store: MemoryStore):
    clock = SystemClock()
    dispatcher = new_dispatcher(store, clock)
    server = RpcServer(credentials("m1", "manager"), clock=clock, leader_addr=str)
    dispatcher.serve_on(server)
    async with (
        asyncio.TaskGroup() as group,
        server,
        open_front("127.0.0.1", 0, {}, server.serve_connection) as (host, port),
    ):
        duty = group.create_task(dispatcher.run())
        await asyncio.sleep(0)
        yield f"{host}:{port}"
        duty.cancel()


async def test_a_node_lives_through_a_session_over_real_sockets() -> None:
    store = MemoryStore(CLUSTER, node("w1"), task("a"), clock=SystemClock())
    request = SessionRequest(description=NodeDescription(hostname="h"), addr="10.0.0.5")
    async with (
        manager(store) as addr,
        NodeChannel(addr, credentials("w1", "worker")) as channel,
        aclosing(channel.stream(methods.SESSION, request)) as session,
    ):
        session_id = (await anext(session)).session_id
        tasks = channel.stream(methods.ASSIGNMENTS, AssignmentsRequest(session_id=session_id))
        async with aclosing(tasks) as assignments:
            assert [t.id for t in (await anext(assignments)).tasks] == ["a"]
            beat = HeartbeatRequest(session_id=session_id)
            assert (await channel.call(methods.HEARTBEAT, beat, timeout_s=5)).period_ns > 0
            running = TaskStatusUpdate(
                task_id=TaskId("a"), status=TaskStatus(state=TaskState.RUNNING)
            )
            await channel.call(
                methods.UPDATE_TASK_STATUS,
                UpdateTaskStatusRequest(session_id=session_id, updates=(running,)),
                timeout_s=5,
            )
            store.put(task("b"))
            assert [t.id for t in (await anext(assignments)).tasks] == ["b"]
            goodbye = GoodbyeRequest(session_id=session_id)
            await channel.call(methods.GOODBYE, goodbye, timeout_s=5)
            with pytest.raises(NotFound):
                await anext(assignments)
    assert store.view().task(TaskId("a")).status.state == TaskState.RUNNING
    assert status(store, "w1") == ("down", GOODBYE_MESSAGE)
