"""A `ClusterStore` in memory: what the replicated store promises, without log, disk and peers.

Every entry goes through the codec, so that an object that could not be stored fails here too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from cluster.clock import Clock
from cluster.errors import NotLeader
from cluster.model.objects import StoredObject
from cluster.store.change import Change
from cluster.store.codec import decode_entry, encode_entry
from cluster.store.interface import Committed
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction
from tests.support.manual_clock import ManualClock

T = TypeVar("T")


class MemorySubscription:
    """The feed of one subscriber; what was committed while it looked away comes as one."""

    def __init__(self, start: ClusterState) -> None:
        self.start = start
        self._waiting: list[Committed] = []
        self._wake = asyncio.Event()
        self._is_closed = False

    async def __aiter__(self) -> AsyncIterator[Committed]:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._waiting:
                changes = tuple(c for step in self._waiting for c in step.changes)
                state = self._waiting[-1].state
                self._waiting.clear()
                yield Committed(changes=changes, state=state)
            if self._is_closed:
                return

    def publish(self, committed: Committed) -> None:
        self._waiting.append(committed)
        self._wake.set()

    def close(self) -> None:
        self._is_closed = True
        self._wake.set()


class MemoryStore:
    """The state of a cluster with one manager that never fails.

    `is_leader = False` makes updates fail as on a follower.  `hold()` keeps proposed changes
    from being committed until `release()`, as a slow disk would.  `entries` counts commits.
    """

    def __init__(self, *objects: StoredObject, clock: Clock | None = None) -> None:
        self.clock = clock or ManualClock()
        self.is_leader = True
        self.leader_addr = ""
        self.entries = 0
        self._committed = ClusterState()
        self._head = self._committed
        self._proposed: list[tuple[tuple[Change, ...], ClusterState]] = []
        self._released = asyncio.Event()
        self._released.set()
        self._subscriptions: list[MemorySubscription] = []
        if objects:
            self.put(*objects)

    def view(self) -> ClusterState:
        return self._committed

    async def update(self, work: Callable[[Transaction], T]) -> T:
        result, revision = self._propose(work)
        await self._released.wait()
        self._commit()
        assert self._committed.revision >= revision
        await asyncio.sleep(0)
        return result

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[MemorySubscription]:
        subscription = MemorySubscription(self._committed)
        self._subscriptions.append(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)
            subscription.close()

    # -- for tests ---------------------------------------------------------------------------

    def commit(self, work: Callable[[Transaction], T]) -> T:
        """Do an update at once, without an event loop; not while held."""
        assert self._released.is_set(), "the store is held"
        result, _ = self._propose(work)
        self._commit()
        return result

    def put(self, *objects: StoredObject) -> None:
        """Create the objects, or put them in place of their former selves."""

        def work(tx: Transaction) -> None:
            for item in objects:
                if item.id in tx.state.table_of(item):
                    tx.update(item)
                else:
                    tx.create(item)

        self.commit(work)

    def remove(self, *objects: StoredObject) -> None:
        """Delete the objects."""

        def work(tx: Transaction) -> None:
            for item in objects:
                tx.delete(item)

        self.commit(work)

    def hold(self) -> None:
        self._released.clear()

    def release(self) -> None:
        self._released.set()

    def _propose(self, work: Callable[[Transaction], T]) -> tuple[T, int]:
        if not self.is_leader:
            where = f": the leader is at {self.leader_addr}" if self.leader_addr else ""
            raise NotLeader(f"this node is not the leader{where}")
        tx = Transaction(self._head, self.clock.now())
        result = work(tx)
        if tx.changes:
            changes = decode_entry(encode_entry(tx.changes))
            self._head = self._head.apply(changes)
            self._proposed.append((changes, self._head))
        return result, self._head.revision

    def _commit(self) -> None:
        proposed, self._proposed = self._proposed, []
        for changes, state in proposed:
            self.entries += 1
            self._committed = state
            for subscription in self._subscriptions:
                subscription.publish(Committed(changes=changes, state=state))
