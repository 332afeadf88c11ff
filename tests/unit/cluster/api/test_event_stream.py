from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec.structs import replace

from cluster.api.event_stream import ClusterEvents, Listener
from cluster.errors import Unavailable
from cluster.model.ids import NodeId
from cluster.store.interface import ClusterStore
from tests.compat.memory_node import MemoryNode
from tests.support.builders import make_node, make_service
from tests.support.manual_clock import ManualClock
from tests.support.memory_store import MemoryStore


class Node(MemoryNode):
    """A node with a store at hand, which may not be shown at times."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = MemoryStore(make_node("n"))
        self.error: Exception | None = None
        self.leader: NodeId | None = None

    def leader_id(self) -> NodeId | None:
        return self.leader

    def store(self) -> ClusterStore:
        if self.error is not None:
            raise self.error
        assert self.memory is not None
        return self.memory


@asynccontextmanager
async def running(node: Node) -> AsyncIterator[ClusterEvents]:
    events = ClusterEvents(node, ManualClock())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(events.run())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        yield events
        task.cancel()


async def next_of(listener: Listener) -> str:
    async with asyncio.timeout(10):
        async for event in listener:
            return f"{event.type} {event.action}"
    raise AssertionError("cut off")


async def test_those_who_listen_hear_and_the_past_is_kept() -> None:
    node = Node()
    assert node.memory is not None
    async with running(node) as events:
        with events.listening() as (past, listener):
            assert past == [], "what was there before is no event"
            node.memory.put(make_service("web"))
            assert await next_of(listener) == "service create"
        with events.listening() as (past, _):
            assert [event.action for event in past] == ["create"]


async def test_several_changes_of_an_object_at_once_are_told_one_by_one() -> None:
    node = Node()
    memory = node.memory
    assert memory is not None
    async with running(node) as events:
        with events.listening() as (_, listener):
            service = make_service("web", replicas=1)
            memory.put(service)
            memory.put(replace(service, spec=make_service("web", replicas=2).spec))
            memory.put(replace(service, spec=make_service("web", replicas=5).spec))
            await next_of(listener)
            await next_of(listener)
            await next_of(listener)
        with events.listening() as (past, _):
            told = [event.attributes.get("replicas.old") for event in past]
            assert told == [None, "1", "2"]


async def test_a_manager_that_cannot_tell_what_is_so_is_asked_again() -> None:
    node = Node()
    node.error = Unavailable("no leader")
    async with running(node) as events:
        with events.listening() as (_, listener):
            node.error = None
            heard = asyncio.ensure_future(next_of(listener))
            number = 0
            while not heard.done():
                number += 1
                assert node.memory is not None
                node.memory.put(make_service(f"s{number}"))
                await asyncio.sleep(0.02)
            assert heard.result() == "service create"


async def test_a_client_that_does_not_keep_up_is_cut_off() -> None:
    node = Node()
    memory = node.memory
    assert memory is not None
    async with running(node) as events:
        with events.listening() as (_, listener):
            for number in range(5000):
                memory.put(make_service(f"s{number}"))
                await asyncio.sleep(0)
            heard = [event async for event in listener]
            assert len(heard) == 4096


async def test_a_new_leader_is_told() -> None:
    node = Node()
    assert node.memory is not None
    node.memory.put(make_node("m2"))
    node.leader = NodeId("n")
    async with running(node) as events:
        with events.listening() as (_, listener):
            node.leader = None  # nobody leads for a moment
            await asyncio.sleep(0.3)
            node.leader = NodeId("m2")
            assert await next_of(listener) == "node update"
            assert await next_of(listener) == "node update"
        with events.listening() as (past, _):
            told = [(event.actor_id, event.attributes["leader.new"]) for event in past]
            assert told == [("n", "false"), ("m2", "true")]
