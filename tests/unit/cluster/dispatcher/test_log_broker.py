"""The broker between readers and nodes; the nodes are what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, aclosing, asynccontextmanager
from typing import Any

import msgspec
import pytest

from cluster.ca.identity import NodeIdentity
from cluster.dispatcher.log_broker import FULL_LINES, LogBroker, LogReading
from cluster.model.ids import ClusterId, NodeId, TaskId
from cluster.model.logs import LogLine, LogOptions, LogSelection
from cluster.model.task import ContainerStatus, Task, TaskStatus
from cluster.model.task_state import TaskState
from cluster.model.units import Timestamp
from cluster.rpc.messages import LogOrder, LogsRequest, PublishLogsRequest
from tests.support.builders import counting_ids, make_node, make_service, make_task
from tests.support.manual_clock import ManualClock
from tests.support.memory_store import MemoryStore

FOLLOW = LogOptions(is_followed=True)
ABSENT = b"warning: node n2 is not available: its part of the log is missing\n"


def _identity(node_id: str) -> NodeIdentity:
    return NodeIdentity(
        node_id=NodeId(node_id),
        role="worker",
        cluster_id=ClusterId("c"),
        not_before=Timestamp(0),
        not_after=Timestamp(1 << 62),
    )


def _task(task_id: str, node_id: str, state: TaskState = TaskState.RUNNING) -> Task:
    status = TaskStatus(state=state, container=ContainerStatus(container_id=f"c-{task_id}"))
    task = make_task(task_id, make_service("web"), node=node_id)
    return msgspec.structs.replace(task, status=status)


class Node:
    """A node that takes orders and publishes by hand."""

    def __init__(self, broker: LogBroker, node_id: str) -> None:
        self._broker = broker
        self._identity = _identity(node_id)
        self._orders: asyncio.Queue[LogOrder] = asyncio.Queue()

    async def listen(self) -> None:
        async with aclosing(self._broker.orders(self._identity, LogsRequest())) as orders:
            async for order in orders:
                self._orders.put_nowait(order)

    async def order(self) -> LogOrder:
        async with asyncio.timeout(5):
            return await self._orders.get()

    async def publish(
        self, order: LogOrder, *texts: str, at: int = 1, is_end: bool = False, error: str = ""
    ) -> Any:
        lines = tuple(
            LogLine(task_id=order.task_id, stream=1, timestamp=Timestamp(at + n), data=t.encode())
            for n, t in enumerate(texts)
        )
        request = PublishLogsRequest(
            log_id=order.log_id, task_id=order.task_id, lines=lines, is_end=is_end, error=error
        )
        return await self._broker.publish(self._identity, request)


class World:
    """A service ``web`` with task t1 on n1 and t2 on n2."""

    def __init__(self) -> None:
        self.service = make_service("web")
        self.store = MemoryStore(
            make_node("n1"), make_node("n2"), self.service, _task("t1", "n1"), _task("t2", "n2")
        )
        self.broker = LogBroker(self.store, clock=ManualClock(), new_id=counting_ids("log"))
        self.of_service = LogSelection(service_id=self.service.id)

    @asynccontextmanager
    async def node(self, node_id: str) -> AsyncIterator[Node]:
        """A node that listens; to leave the context is to lose it."""
        node = Node(self.broker, node_id)
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(node.listen())
            await asyncio.sleep(0)
            yield node
            listening.cancel()


@pytest.fixture
def world() -> World:
    return World()


async def _rest(reading: LogReading) -> list[tuple[str, bytes]]:
    async with asyncio.timeout(5):
        return [(task.id, line.data) async for task, line in reading]


async def test_lines_of_all_nodes_come_to_the_reader(world: World) -> None:
    async with world.node("n1") as one, world.node("n2") as two:
        with world.broker.open(world.of_service, LogOptions()) as reading:
            for node, text in ((one, "a\n"), (two, "b\n")):
                order = await node.order()
                assert (await node.publish(order, text)).is_wanted
                await node.publish(order, is_end=True)
            assert await _rest(reading) == [("t1", b"a\n"), ("t2", b"b\n")]


async def test_a_node_that_is_away_is_named_and_nobody_waits_for_it(world: World) -> None:
    async with world.node("n1") as one:
        with world.broker.open(world.of_service, LogOptions()) as reading:
            await one.publish(await one.order(), "a\n", is_end=True)
            assert sorted(await _rest(reading)) == [("t1", b"a\n"), ("t2", ABSENT)]


async def test_a_node_that_goes_in_the_middle_is_named(world: World) -> None:
    with ExitStack() as stack:
        async with world.node("n1") as one, world.node("n2") as two:
            reading = stack.enter_context(world.broker.open(world.of_service, LogOptions()))
            await two.publish(await two.order(), "b\n")
            await one.publish(await one.order(), is_end=True)
        assert await _rest(reading) == [("t2", b"b\n"), ("t2", ABSENT)]


@pytest.mark.parametrize("options", [LogOptions(), FOLLOW])
async def test_nobody_waits_for_a_node_that_is_down_though_its_stream_seems_open(
    world: World, options: LogOptions
) -> None:
    """So it is with a node that lost its power: nothing tells that the connection is dead."""
    lost = make_node("n2", state="down")
    async with (
        asyncio.timeout(60),
        asyncio.TaskGroup() as group,
        world.node("n1") as one,
        world.node("n2") as two,
    ):
        running = group.create_task(world.broker.run())
        await asyncio.sleep(0)
        with world.broker.open(world.of_service, options) as reading:
            await one.publish(await one.order(), is_end=True)
            await two.order()
            world.store.put(lost)
            assert (await anext(reading))[1].data == ABSENT
        with world.broker.open(world.of_service, options) as reading:
            assert (await anext(reading))[1].data == ABSENT
        async with world.node("n2") as again:
            with world.broker.open(world.of_service, options):
                assert (await again.order()).task_id == "t2"
        running.cancel()


async def test_what_a_node_cannot_read_is_told(world: World) -> None:
    async with world.node("n1") as one:
        with world.broker.open(LogSelection(task_id=TaskId("t1")), LogOptions()) as reading:
            await one.publish(await one.order(), is_end=True, error="no log driver")
            assert await _rest(reading) == [("t1", b"warning: no log driver\n")]


async def test_nobody_publishes_for_another_node_or_unasked(world: World) -> None:
    async with world.node("n1") as one, world.node("n2") as two:
        with world.broker.open(LogSelection(task_id=TaskId("t1")), LogOptions()) as reading:
            order = await one.order()
            assert not (await two.publish(order, "forged\n")).is_wanted
            await one.publish(order, is_end=True)
            assert not (await one.publish(order, "late\n")).is_wanted
            assert await _rest(reading) == []
        assert not (await one.publish(order, "after the end\n")).is_wanted


async def test_a_followed_log_takes_new_tasks_and_goes_on_when_a_node_is_back(
    world: World,
) -> None:
    async with asyncio.TaskGroup() as group, world.node("n1") as one:
        running = group.create_task(world.broker.run())
        await asyncio.sleep(0)
        with world.broker.open(world.of_service, FOLLOW) as reading:
            order = await one.order()
            assert order.options == FOLLOW
            await one.publish(order, "a\n")
            assert [(await anext(reading))[1].data for _ in range(2)] == [ABSENT, b"a\n"]
            async with world.node("n2") as two:
                second = await two.order()
                await two.publish(second, "b\n", at=70)
                assert (await anext(reading))[1].data == b"b\n"
            assert (await anext(reading))[1].data == ABSENT
            async with world.node("n2") as two:
                again = await two.order()
                assert (again.task_id, again.options.since) == ("t2", 71)
                world.store.put(_task("t3", "n2"))
                assert (await two.order()).task_id == "t3"
        running.cancel()


async def test_following_ends_with_the_service_and_its_last_task(world: World) -> None:
    async with asyncio.TaskGroup() as group, world.node("n1") as one, world.node("n2") as two:
        running = group.create_task(world.broker.run())
        await asyncio.sleep(0)
        with world.broker.open(world.of_service, FOLLOW) as reading:
            orders = [await one.order(), await two.order()]
            world.store.remove(world.service)
            await one.publish(orders[0], is_end=True)
            await two.publish(orders[1], "last\n", is_end=True)
            assert await _rest(reading) == [("t2", b"last\n")]
        running.cancel()


async def test_following_ends_with_the_leadership(world: World) -> None:
    async with asyncio.TaskGroup() as group, world.node("n1"), world.node("n2"):
        running = group.create_task(world.broker.run())
        await asyncio.sleep(0)
        with world.broker.open(world.of_service, FOLLOW) as reading:
            running.cancel()
            assert await _rest(reading) == []


async def test_a_node_waits_for_a_slow_reader_and_hears_of_its_end(world: World) -> None:
    selection = LogSelection(task_id=TaskId("t1"))
    async with world.node("n1") as one, asyncio.TaskGroup() as group:
        with world.broker.open(selection, FOLLOW) as reading:
            order = await one.order()
            publishing = group.create_task(one.publish(order, *["x\n"] * FULL_LINES))
            await asyncio.sleep(0)
            assert not publishing.done()
            await anext(reading)
            assert not (await publishing).is_full
            blocked = group.create_task(one.publish(order, *["x\n"] * FULL_LINES))
            await asyncio.sleep(0)
        assert not (await blocked).is_wanted
        closing = await one.order()
        assert (closing.log_id, closing.is_closed) == (order.log_id, True)
