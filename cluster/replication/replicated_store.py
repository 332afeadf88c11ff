"""The cluster's store on top of raft.

The leader keeps two states: the committed one, which everybody reads, and the *head*, which
includes changes that are proposed but not committed yet. Updates work on the head, one after the
other and without waiting, so that any number of them are on their way to the disk at once and
still each sees all before it. What is on the way can only be lost together with everything
behind it: when leadership is lost, all waiting updates fail and the head falls back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from cluster.clock import Clock
from cluster.errors import FatalStorageError, NotLeader
from cluster.raft.ready import Role, SoftState
from cluster.replication.driver import Driver
from cluster.store.change import Change, Created, Deleted, Updated
from cluster.store.codec import decode_entry, decode_snapshot, encode_entry, encode_snapshot
from cluster.store.interface import Committed
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction

T = TypeVar("T")


@dataclass(slots=True)
class _Proposed:
    """An entry on its way, with the state after it and those who wait for it."""

    index: int
    changes: tuple[Change, ...]
    state: ClusterState
    waiting: list[asyncio.Future[None]] = field(default_factory=list)


class _Step:
    """What one committed entry did; a chain of these is the feed."""

    __slots__ = ("committed", "next")

    def __init__(self, committed: Committed) -> None:
        self.committed = committed
        self.next: _Step | None = None


class Feed:
    """One subscription. It holds its place in the chain of steps, so nothing is copied or lost.

    Attributes:
        start: the state just before the first step.
    """

    def __init__(self, place: _Step) -> None:
        """Begin behind `place`."""
        self.start = place.committed.state
        self.woken = asyncio.Event()
        self._place = place
        self._is_closed = False

    def __aiter__(self) -> AsyncIterator[Committed]:
        return self

    async def __anext__(self) -> Committed:
        """Return all that was committed since the last time, as one."""
        while not (changes := self._catch_up()):
            if self._is_closed:
                raise StopAsyncIteration
            self.woken.clear()
            await self.woken.wait()
        return Committed(changes=changes, state=self._place.committed.state)

    def close(self) -> None:
        """End the iteration."""
        self._is_closed = True
        self.woken.set()

    def _catch_up(self) -> tuple[Change, ...]:
        changes: list[Change] = []
        step = self._place.next
        while step is not None:
            changes.extend(step.committed.changes)
            self._place, step = step, step.next
        return tuple(changes)


class ReplicatedStore:
    """`ClusterStore` over a raft member, and `StateMachine` of its driver."""

    def __init__(self, driver: Driver, clock: Clock, state: ClusterState) -> None:
        """Make the store.

        Args:
            driver: runs the member; it is started by `run`.
            clock: dates changes.
            state: what the member's snapshot holds.
        """
        self._driver = driver
        self._clock = clock
        self._committed = state
        self._head = state
        self._proposed: deque[_Proposed] = deque()
        self._leading_term = 0
        self._leader = 0
        self._may_write = asyncio.Event()
        self._may_not_write = asyncio.Event()
        self._may_not_write.set()
        self._last_step = _Step(Committed(changes=(), state=state))
        self._feeds: set[Feed] = set()

    async def run(self) -> None:
        """Take part in the cluster until cancelled.

        Raises:
            FatalStorageError: the disk failed. The process must stop.
        """
        await self._driver.run(self)

    def close(self) -> None:
        """Let go of the files of a store that does not run (any more)."""
        self._driver.close()

    @property
    def driver(self) -> Driver:
        """The raft member under the store."""
        return self._driver

    # -- ClusterStore ------------------------------------------------------------------------

    def view(self) -> ClusterState:
        """Return the last committed state this manager knows."""
        return self._committed

    async def update(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on the head at once; return its result when the changes are committed.

        An update that changes nothing, or whose work raises, waits until everything it saw is
        committed, so that nobody acts on what may still be lost.  Before it raises what the work
        raised, this manager proves that it still leads (Raft thesis, section 6.4).

        Raises:
            NotLeader: this manager may not write, cannot prove that it leads, or ceased to lead
                before the commit; in the last case the change may still come to pass.
            Unavailable: too much is waiting to be committed; nothing was changed.
        """
        if not self.is_leader:
            raise NotLeader(self._where_to_go())
        transaction = Transaction(self._head, self._clock.now())
        try:
            result = work(transaction)
        except Exception:
            await self._settled()
            # A leader that has been replaced and does not know it refuses by a state of old.
            await self._driver.read_barrier()
            raise
        changes = transaction.changes
        if changes:
            index = self._driver.propose(encode_entry(changes), self._leading_term)
            # The transaction's state is the head with the changes, under the old revision.
            self._head = transaction.state.preview((), transaction.revision)
            self._proposed.append(_Proposed(index, changes, self._head))
        await self._settled()
        return result

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[Feed]:
        """Open a feed of committed changes; it ends with the context."""
        feed = Feed(self._last_step)
        self._feeds.add(feed)
        try:
            yield feed
        finally:
            self._feeds.discard(feed)
            feed.close()

    async def read_barrier(self) -> ClusterState:
        """Return a state that holds everything acknowledged before the call (linearizable).

        Raises:
            NotLeader: this manager cannot prove that it still leads.
        """
        await self._driver.read_barrier()
        return self._committed

    # -- leadership --------------------------------------------------------------------------

    @property
    def is_leader(self) -> bool:
        """Whether this manager leads and has seen everything its predecessors committed."""
        return self._may_write.is_set()

    @property
    def leader(self) -> int:
        """Raft ID of the leader as far as known, 0 for unknown."""
        return self._leader

    async def wait_leader(self) -> None:
        """Return once this manager leads and may write."""
        await self._may_write.wait()

    async def wait_not_leader(self) -> None:
        """Return once this manager does not lead."""
        await self._may_not_write.wait()

    # -- StateMachine ------------------------------------------------------------------------

    def apply(self, index: int, term: int, data: bytes) -> None:
        """Apply a committed entry and tell the subscribers."""
        if not data:
            if term == self._leading_term:
                self._begin_to_write()
            return
        if self._proposed and term == self._leading_term:
            # Own entry: everything is here already.
            proposed = self._proposed.popleft()
            assert proposed.index == index, f"entry {index} where {proposed.index} is due"
            self._publish(proposed.changes, proposed.state)
            for future in proposed.waiting:
                if not future.done():
                    future.set_result(None)
        else:
            changes = _read(decode_entry, data, f"entry {index} of the log")
            self._publish(changes, self._committed.apply(changes))

    def capture(self) -> Callable[[], bytes]:
        """Hold on to the committed state; the result encodes it."""
        return partial(encode_snapshot, self._committed)

    def restore(self, data: bytes) -> None:
        """Replace the state; subscribers get the differences."""
        state = _read(decode_snapshot, data, "the snapshot from the leader")
        self._publish(_differences(self._committed, state), state)
        self._head = state

    def role_changed(self, soft: SoftState) -> None:
        """Follow the role in raft; leadership begins for us only when the no-op is applied."""
        self._leader = soft.leader
        term = soft.term if soft.role is Role.LEADER else 0
        if term == self._leading_term:
            return
        self._leading_term = term
        self._may_write.clear()
        self._may_not_write.set()
        lost, self._proposed = self._proposed, deque()
        self._head = self._committed
        for proposed in lost:
            for future in proposed.waiting:
                if not future.done():
                    future.set_exception(
                        NotLeader(
                            "this manager ceased to lead before the change was committed; it "
                            "may still come to pass: look before you try again"
                        )
                    )

    # -- parts -------------------------------------------------------------------------------

    def _begin_to_write(self) -> None:
        self._head = self._committed
        self._may_not_write.clear()
        self._may_write.set()

    async def _settled(self) -> None:
        """Return when everything proposed so far is committed."""
        if not self._proposed:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._proposed[-1].waiting.append(future)
        await future

    def _publish(self, changes: tuple[Change, ...], state: ClusterState) -> None:
        self._committed = state
        step = _Step(Committed(changes=changes, state=state))
        self._last_step.next = step
        self._last_step = step
        for feed in self._feeds:
            feed.woken.set()

    def _where_to_go(self) -> str:
        if self._leading_term:
            return "this manager was just elected and does not accept changes yet: try again"
        if self._leader:
            return f"this manager is not the leader: raft member {self._leader} leads"
        return "the cluster has no leader now: try again, or check that a majority is running"


def _read(decode: Callable[[bytes], T], data: bytes, what: str) -> T:
    try:
        return decode(data)
    except ValueError as error:
        raise FatalStorageError(f"{what} cannot be read: {error}") from error


def _differences(old: ClusterState, new: ClusterState) -> tuple[Change, ...]:
    """Return changes that lead from one state to the other."""
    before: dict[tuple[type, str], Any] = {(type(o), o.id): o for o in old.everything()}
    after: dict[tuple[type, str], Any] = {(type(o), o.id): o for o in new.everything()}
    changes: list[Change] = [Deleted(o) for key, o in before.items() if key not in after]
    for key, item in after.items():
        if key not in before:
            changes.append(Created(item))
        elif before[key] != item:
            changes.append(Updated(item))
    return tuple(changes)
