"""The loop that runs all reconcilers: wake, reconcile, commit.

All reconcilers share one transaction a turn.  What one of them decides wakes the others at once,
inside the turn, so a new service becomes assigned tasks with a single log entry and a single
sync of the disk.  They still do not know each other: each sees only the state.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence

import structlog

from cluster.clock import Clock
from cluster.control.backoff import pause_ns
from cluster.control.reconciler import Reconciler
from cluster.control.work_queue import WorkQueue
from cluster.errors import ClusterError, NotLeader, Unavailable
from cluster.model.ids import NewId
from cluster.model.units import SECOND_NS, Timestamp, after
from cluster.store.change import Change, Created, Deleted, Updated
from cluster.store.interface import ClusterStore, Subscription
from cluster.store.plan import Plan
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction

log = structlog.get_logger()

MAX_CHANGES_A_TURN = 1000
"""Keeps a log entry near a megabyte; what is left goes into the next turn."""

SHORTEST_WAIT_NS = SECOND_NS // 10
"""Between two looks at a key of which the first found nothing to do."""

Key = tuple[int, str]  # which reconciler, which of its keys


class _Turn:
    """The keys of one transaction: those that were taken, and those that were reconciled."""

    def __init__(self) -> None:
        self.taken: list[Key] = []
        self.done: list[Key] = []


class Controller:
    """Runs reconcilers on the leader until it is cancelled or leadership is lost."""

    def __init__(
        self, store: ClusterStore, reconcilers: Sequence[Reconciler], clock: Clock, new_id: NewId
    ) -> None:
        """Make a controller.

        Args:
            store: read and written; this process must lead.
            reconcilers: in the order in which the work naturally flows.
            clock: dates the waiting.
            new_id: makes identifiers for new objects.
        """
        self._store = store
        self._reconcilers = reconcilers
        self._clock = clock
        self._new_id = new_id
        self._queue: WorkQueue[Key] = WorkQueue()
        self._failures: dict[Key, int] = {}
        self._alone: set[Key] = set()  # keys of a refused turn: each gets a turn of its own
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Look at everything once, then at whatever changes or becomes due.

        Raises:
            NotLeader: this manager may not write any more.
        """
        async with self._store.subscribe() as feed:
            for number, reconciler in enumerate(self._reconcilers):
                for key in reconciler.all_keys(feed.start):
                    self._queue.add((number, key))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(feed))
                group.create_task(self._work())

    async def _follow(self, feed: Subscription) -> None:
        async for committed in feed:
            for change in committed.changes:
                self._wake(change, committed.state)
            self._woken.set()

    def _wake(self, change: Change, state: ClusterState) -> None:
        for number, reconciler in enumerate(self._reconcilers):
            try:
                keys = list(reconciler.keys_of(change, state))
            except Exception:  # one broken object must not stop the care of all others
                log.exception("reconciler failed", reconciler=reconciler.name)
                continue
            for key in keys:
                self._queue.add((number, key))

    async def _work(self) -> None:
        while True:
            await self._wait_for_work()
            turn = _Turn()
            try:
                await self._store.update(functools.partial(self._take_turn, turn))
            except NotLeader:
                raise
            except Unavailable as error:
                log.warning("nothing can be written for now", error=str(error))
                for entry in turn.taken:
                    self._retry_later(entry)
            except ClusterError:
                log.exception("plan refused", keys=[key for _, key in turn.taken])
                self._single_out(turn)
            else:
                self._alone.difference_update(turn.taken)
                for entry in turn.done:
                    self._failures.pop(entry, None)

    def _single_out(self, turn: _Turn) -> None:
        """Find out whose plan cannot be carried out, and let only that key wait."""
        if len(turn.taken) == 1:
            self._retry_later(turn.taken[0])
            return
        for entry in turn.taken:
            self._alone.add(entry)
            self._queue.add(entry)

    def _take_turn(self, turn: _Turn, tx: Transaction) -> None:
        while len(tx.changes) < MAX_CHANGES_A_TURN:
            entry = self._queue.pop(tx.now)
            if entry is None:
                return
            if entry in self._alone and turn.taken:
                self._queue.add(entry)  # it has to wait for a turn of its own
                return
            turn.taken.append(entry)
            plan = self._reconcile(tx, entry)
            if plan is not None:
                tx.carry_out(plan)
                turn.done.append(entry)
                for change in _changes_of(plan):
                    self._wake(change, tx.state)
                if plan.wake_at is not None:
                    # who wants to go on at once although nothing changes would keep all others out
                    soonest = after(tx.now, SHORTEST_WAIT_NS) if plan.is_empty else tx.now
                    self._queue.add_at(entry, max(plan.wake_at, soonest))
            if entry in self._alone:
                return

    def _reconcile(self, tx: Transaction, entry: Key) -> Plan | None:
        number, key = entry
        reconciler = self._reconcilers[number]
        try:
            plan = reconciler.reconcile(tx.state, key, tx.now, self._new_id)
        except Exception:  # one broken object must not stop the care of all others
            log.exception("reconciler failed", reconciler=reconciler.name, key=key)
            self._retry_later(entry)
            return None
        return plan

    def _retry_later(self, entry: Key) -> None:
        failures = self._failures[entry] = self._failures.get(entry, 0) + 1
        self._queue.add_at(entry, after(self._clock.now(), pause_ns(failures)))

    async def _wait_for_work(self) -> None:
        """Return when a key is due."""
        while True:
            self._woken.clear()
            due = self._queue.next_due()
            if due is not None and due <= self._clock.now():
                return
            pause_s = None if due is None else _seconds_until(due, self._clock.now())
            try:
                async with asyncio.timeout(pause_s):
                    await self._woken.wait()
            except TimeoutError:
                continue


def _seconds_until(moment: Timestamp, now: Timestamp) -> float:
    return max(0.0, (moment - now) / SECOND_NS)


def _changes_of(plan: Plan) -> tuple[Change, ...]:
    return (
        *map(Deleted, plan.delete),
        *map(Updated, plan.update),
        *map(Created, plan.create),
    )
