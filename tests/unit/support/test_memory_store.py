"""The store in memory keeps the promises of the `ClusterStore` port."""

import asyncio

import pytest

from cluster.errors import NotLeader
from cluster.model.ids import NodeId
from cluster.model.meta import Meta
from cluster.model.node import Node, NodeSpec
from cluster.store.change import Created, Deleted
from cluster.store.interface import ClusterStore
from tests.support.memory_store import MemoryStore


def node(name: str) -> Node:
    return Node(id=NodeId(name), meta=Meta(), spec=NodeSpec(name=name))


async def test_an_update_is_seen_by_view_and_by_a_feed_that_began_before() -> None:
    store: ClusterStore = MemoryStore(node("a"))
    async with store.subscribe() as feed:
        assert [n.id for n in feed.start.nodes] == ["a"]
        await store.update(lambda tx: tx.create(node("b")))
        await store.update(lambda tx: tx.delete(tx.state.node(NodeId("a"))))
        async for committed in feed:
            assert [type(c) for c in committed.changes] == [Created, Deleted]
            assert [n.id for n in committed.state.nodes] == ["b"]
            break
    assert [n.id for n in store.view().nodes] == ["b"]
    assert store.view().revision == 3


async def test_an_error_changes_nothing() -> None:
    store = MemoryStore()

    def work(tx):
        tx.create(node("a"))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await store.update(work)
    assert store.view().revision == 0


async def test_a_held_store_commits_nothing_but_lets_later_work_see_it() -> None:
    store = MemoryStore()
    store.hold()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(store.update(lambda tx: tx.create(node("a"))))
        second = group.create_task(store.update(lambda tx: tx.state.node(NodeId("a"))))
        await asyncio.sleep(0)
        assert store.view().revision == 0
        assert not first.done()
        store.release()
    assert second.result().id == "a"
    assert store.entries == 1


async def test_a_follower_refuses() -> None:
    store = MemoryStore()
    store.is_leader = False
    store.leader_addr = "10.0.0.1:2377"
    with pytest.raises(NotLeader, match=r"10\.0\.0\.1:2377"):
        await store.update(lambda tx: None)


async def test_a_feed_ends_with_its_context() -> None:
    store = MemoryStore()
    async with store.subscribe() as feed:
        pass
    assert [c async for c in feed] == []
